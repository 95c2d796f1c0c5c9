"""The numbers of print, counted again: what `reports.published` judges them against."""
