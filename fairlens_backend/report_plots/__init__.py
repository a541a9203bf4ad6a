"""The plots of a report, each from the report's data to a picture of simple shapes."""

from fairlens_backend.report_plots.group_rates import group_rates_picture
from fairlens_backend.report_plots.heat_map import heat_map_picture
from fairlens_backend.report_plots.trend import trend_picture

__all__ = ["group_rates_picture", "heat_map_picture", "trend_picture"]
