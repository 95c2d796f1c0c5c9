"""CamVid's label files: the SegNet split's 11 classes, as numbers or in the colours of the original 32."""

from __future__ import annotations

from vssbench.datasets.classes import CAMVID_CLASSES
from vssbench.datasets.label_files import LabelFormat
from vssbench.records import IGNORE

CAMVID_VOID = 11  # the value of an unlabelled pixel in the SegNet split's label files

# label_colors.txt of the CamVid release (Brostow et al., Pattern Recognition Letters 2009).
CAMVID_COLOURS: dict[str, tuple[int, int, int]] = {
    "Animal": (64, 128, 64),
    "Archway": (192, 0, 128),
    "Bicyclist": (0, 128, 192),
    "Bridge": (0, 128, 64),
    "Building": (128, 0, 0),
    "Car": (64, 0, 128),
    "CartLuggagePram": (64, 0, 192),
    "Child": (192, 128, 64),
    "Column_Pole": (192, 192, 128),
    "Fence": (64, 64, 128),
    "LaneMkgsDriv": (128, 0, 192),
    "LaneMkgsNonDriv": (192, 0, 64),
    "Misc_Text": (128, 128, 64),
    "MotorcycleScooter": (192, 0, 192),
    "OtherMoving": (128, 64, 64),
    "ParkingBlock": (64, 192, 128),
    "Pedestrian": (64, 64, 0),
    "Road": (128, 64, 128),
    "RoadShoulder": (128, 128, 192),
    "SUVPickupTruck": (64, 128, 192),
    "Sidewalk": (0, 0, 192),
    "SignSymbol": (192, 128, 128),
    "Sky": (128, 128, 128),
    "TrafficCone": (0, 0, 64),
    "TrafficLight": (0, 64, 64),
    "Train": (192, 64, 128),
    "Tree": (128, 128, 0),
    "Truck_Bus": (192, 128, 192),
    "Tunnel": (64, 0, 64),
    "VegetationMisc": (192, 192, 0),
    "Void": (0, 0, 0),
    "Wall": (64, 192, 0),
}

# The SegNet split's grouping, inferred from 100 pairs of original and grouped labels; what it does not name
# is IGNORE. Other public ports group the rare classes differently; AR-Seg's program ignores them all.
CAMVID_GROUPS: dict[str, tuple[str, ...]] = {
    "Sky": ("Sky",),
    "Building": ("Building", "Wall"),
    "Pole": ("Column_Pole",),
    "Road": ("Road", "LaneMkgsDriv", "LaneMkgsNonDriv", "RoadShoulder"),
    "Pavement": ("Sidewalk", "ParkingBlock"),
    "Tree": ("Tree", "VegetationMisc"),
    "SignSymbol": ("SignSymbol", "Misc_Text", "TrafficLight"),
    "Fence": ("Fence",),
    "Car": ("Car", "SUVPickupTruck", "Truck_Bus"),
    "Pedestrian": ("Pedestrian",),
    "Bicyclist": ("Bicyclist", "MotorcycleScooter"),
}

_CLASS_OF_NAME = {name: CAMVID_CLASSES.index(group) for group, names in CAMVID_GROUPS.items() for name in names}

CAMVID_LABELS = LabelFormat(
    num_classes=len(CAMVID_CLASSES),
    value_to_class={value: value for value in range(len(CAMVID_CLASSES))} | {CAMVID_VOID: IGNORE, IGNORE: IGNORE},
    colour_to_class={colour: _CLASS_OF_NAME.get(name, IGNORE) for name, colour in CAMVID_COLOURS.items()},
    hint="these look like numbers of other classes (CamVid's 32, or Cityscapes labelIds): give CamVid's "
    "colour files or the 11 classes of the SegNet split",
)
