"""Filters that pass messages on, alone or in step with others: the interface of ROS 2's message_filters."""

from message_filters.cache import Cache
from message_filters.chain import Chain
from message_filters.delta_filter import ComparisonFilter, DeltaCompare, DeltaFilter, PathDeltaFilter
from message_filters.input_aligner import InputAligner
from message_filters.simple_filter import SimpleFilter
from message_filters.subscriber import Subscriber
from message_filters.synchronizers import ApproximateTimeSynchronizer, TimeSynchronizer

__all__ = [
    "ApproximateTimeSynchronizer",
    "Cache",
    "Chain",
    "ComparisonFilter",
    "DeltaCompare",
    "DeltaFilter",
    "InputAligner",
    "PathDeltaFilter",
    "SimpleFilter",
    "Subscriber",
    "TimeSynchronizer",
]
