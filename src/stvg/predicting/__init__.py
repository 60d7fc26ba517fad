"""Answering the queries of a benchmark: methods over thousands of videos, and trivial baselines."""

from .baselines import Baseline as Baseline
from .questions import Questions as Questions
from .run import predict as predict
from .run import predict_baseline as predict_baseline
from .start import PredictConfig as PredictConfig
from .summary import Summary as Summary
