"""Context variables of the slice data: where each syntax element keeps its own, and their initial values.

Source: ITU-T H.265, Tables 9-5 to 9-31 (numbers as in the editions from 2014 on); facts, checked against three
independent decoders.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Rows are initType 0 (I slices), 1 and 2 (P and B slices, swapped by cabac_init_flag); an element that does not
# occur in I slices has a row of 154 there, the value that means "even odds".
# fmt: off
_INIT_VALUES: dict[str, tuple[list[int], list[int], list[int]]] = {
    "sao_merge": (  # Table 9-5
        [153],
        [153],
        [153],
    ),
    "sao_type_idx": (  # Table 9-6
        [200],
        [185],
        [160],
    ),
    "split_cu_flag": (  # Table 9-7
        [139, 141, 157],
        [107, 139, 126],
        [107, 139, 126],
    ),
    "cu_transquant_bypass_flag": (  # Table 9-8
        [154],
        [154],
        [154],
    ),
    "cu_skip_flag": (  # Table 9-9
        [154, 154, 154],
        [197, 185, 201],
        [197, 185, 201],
    ),
    "pred_mode_flag": (  # Table 9-10
        [154],
        [149],
        [134],
    ),
    "part_mode": (  # Table 9-11
        [184, 154, 154, 154],
        [154, 139, 154, 154],
        [154, 139, 154, 154],
    ),
    "prev_intra_luma_pred_flag": (  # Table 9-12
        [184],
        [154],
        [183],
    ),
    "intra_chroma_pred_mode": (  # Table 9-13
        [63],
        [152],
        [152],
    ),
    "rqt_root_cbf": (  # Table 9-14
        [154],
        [79],
        [79],
    ),
    "merge_flag": (  # Table 9-15
        [154],
        [110],
        [154],
    ),
    "merge_idx": (  # Table 9-16
        [154],
        [122],
        [137],
    ),
    "inter_pred_idc": (  # Table 9-17
        [154, 154, 154, 154, 154],
        [95, 79, 63, 31, 31],
        [95, 79, 63, 31, 31],
    ),
    "ref_idx": (  # Table 9-18
        [154, 154],
        [153, 153],
        [153, 153],
    ),
    "mvp_flag": (  # Table 9-19
        [154],
        [168],
        [168],
    ),
    "split_transform_flag": (  # Table 9-20
        [153, 138, 138],
        [124, 138, 94],
        [224, 167, 122],
    ),
    "cbf_luma": (  # Table 9-21
        [111, 141],
        [153, 111],
        [153, 111],
    ),
    "cbf_chroma": (  # Table 9-22
        [94, 138, 182, 154],
        [149, 107, 167, 154],
        [149, 92, 167, 154],
    ),
    "abs_mvd_greater0_flag": (  # Table 9-23
        [154],
        [140],
        [169],
    ),
    "abs_mvd_greater1_flag": (  # Table 9-23
        [154],
        [198],
        [198],
    ),
    "cu_qp_delta_abs": (  # Table 9-24
        [154, 154],
        [154, 154],
        [154, 154],
    ),
    "transform_skip_flag": (  # Table 9-25
        [139, 139],
        [139, 139],
        [139, 139],
    ),
    "last_sig_coeff_x_prefix": (  # Table 9-26
        [110, 110, 124, 125, 140, 153, 125, 127, 140, 109, 111, 143, 127, 111, 79, 108, 123, 63],
        [125, 110, 94, 110, 95, 79, 125, 111, 110, 78, 110, 111, 111, 95, 94, 108, 123, 108],
        [125, 110, 124, 110, 95, 94, 125, 111, 111, 79, 125, 126, 111, 111, 79, 108, 123, 93],
    ),
    "last_sig_coeff_y_prefix": (  # Table 9-27
        [110, 110, 124, 125, 140, 153, 125, 127, 140, 109, 111, 143, 127, 111, 79, 108, 123, 63],
        [125, 110, 94, 110, 95, 79, 125, 111, 110, 78, 110, 111, 111, 95, 94, 108, 123, 108],
        [125, 110, 124, 110, 95, 94, 125, 111, 111, 79, 125, 126, 111, 111, 79, 108, 123, 93],
    ),
    "coded_sub_block_flag": (  # Table 9-28
        [91, 171, 134, 141],
        [121, 140, 61, 154],
        [121, 140, 61, 154],
    ),
    "sig_coeff_flag": (  # Table 9-29
        [
            111, 111, 125, 110, 110, 94, 124, 108, 124, 107, 125, 141, 179, 153, 125, 107, 125, 141, 179, 153, 125,
            107, 125, 141, 179, 153, 125, 140, 139, 182, 182, 152, 136, 152, 136, 153, 136, 139, 111, 136, 139, 111,
        ],
        [
            155, 154, 139, 153, 139, 123, 123, 63, 153, 166, 183, 140, 136, 153, 154, 166, 183, 140, 136, 153, 154,
            166, 183, 140, 136, 153, 154, 170, 153, 123, 123, 107, 121, 107, 121, 167, 151, 183, 140, 151, 183, 140,
        ],
        [
            170, 154, 139, 153, 139, 123, 123, 63, 124, 166, 183, 140, 136, 153, 154, 166, 183, 140, 136, 153, 154,
            166, 183, 140, 136, 153, 154, 170, 153, 138, 138, 122, 121, 122, 121, 167, 151, 183, 140, 151, 183, 140,
        ],
    ),
    "coeff_abs_level_greater1_flag": (  # Table 9-30
        [
            140, 92, 137, 138, 140, 152, 138, 139, 153, 74, 149, 92, 139, 107, 122, 152, 140, 179, 166, 182, 140, 227,
            122, 197,
        ],
        [
            154, 196, 196, 167, 154, 152, 167, 182, 182, 134, 149, 136, 153, 121, 136, 137, 169, 194, 166, 167, 154,
            167, 137, 182,
        ],
        [
            154, 196, 167, 167, 154, 152, 167, 182, 182, 134, 149, 136, 153, 121, 136, 122, 169, 208, 166, 167, 154,
            152, 167, 182,
        ],
    ),
    "coeff_abs_level_greater2_flag": (  # Table 9-31
        [138, 153, 136, 167, 152, 152],
        [107, 167, 91, 122, 107, 167],
        [107, 167, 91, 107, 107, 167],
    ),
}
# fmt: on

_OFFSETS = dict(
    zip(_INIT_VALUES, np.cumsum([0, *(len(rows[0]) for rows in _INIT_VALUES.values())]).tolist(), strict=False)
)
INIT_VALUES: NDArray[np.int64] = np.concatenate([np.array(rows) for rows in _INIT_VALUES.values()], axis=1)
NUM_CONTEXTS = INIT_VALUES.shape[1]

SAO_MERGE = _OFFSETS["sao_merge"]
SAO_TYPE_IDX = _OFFSETS["sao_type_idx"]
SPLIT_CU_FLAG = _OFFSETS["split_cu_flag"]
CU_TRANSQUANT_BYPASS_FLAG = _OFFSETS["cu_transquant_bypass_flag"]
CU_SKIP_FLAG = _OFFSETS["cu_skip_flag"]
PRED_MODE_FLAG = _OFFSETS["pred_mode_flag"]
PART_MODE = _OFFSETS["part_mode"]
PREV_INTRA_LUMA_PRED_FLAG = _OFFSETS["prev_intra_luma_pred_flag"]
INTRA_CHROMA_PRED_MODE = _OFFSETS["intra_chroma_pred_mode"]
RQT_ROOT_CBF = _OFFSETS["rqt_root_cbf"]
MERGE_FLAG = _OFFSETS["merge_flag"]
MERGE_IDX = _OFFSETS["merge_idx"]
INTER_PRED_IDC = _OFFSETS["inter_pred_idc"]
REF_IDX = _OFFSETS["ref_idx"]
MVP_FLAG = _OFFSETS["mvp_flag"]
SPLIT_TRANSFORM_FLAG = _OFFSETS["split_transform_flag"]
CBF_LUMA = _OFFSETS["cbf_luma"]
CBF_CHROMA = _OFFSETS["cbf_chroma"]
ABS_MVD_GREATER0_FLAG = _OFFSETS["abs_mvd_greater0_flag"]
ABS_MVD_GREATER1_FLAG = _OFFSETS["abs_mvd_greater1_flag"]
CU_QP_DELTA_ABS = _OFFSETS["cu_qp_delta_abs"]
TRANSFORM_SKIP_FLAG = _OFFSETS["transform_skip_flag"]
LAST_SIG_COEFF_X_PREFIX = _OFFSETS["last_sig_coeff_x_prefix"]
LAST_SIG_COEFF_Y_PREFIX = _OFFSETS["last_sig_coeff_y_prefix"]
CODED_SUB_BLOCK_FLAG = _OFFSETS["coded_sub_block_flag"]
SIG_COEFF_FLAG = _OFFSETS["sig_coeff_flag"]
COEFF_ABS_LEVEL_GREATER1_FLAG = _OFFSETS["coeff_abs_level_greater1_flag"]
COEFF_ABS_LEVEL_GREATER2_FLAG = _OFFSETS["coeff_abs_level_greater2_flag"]
