"""Learning rate of TOFlow's training: one a stage, in the joint one halved at milestones where the recipe has some."""

from toflow.config import Config
from toflow.stages import Stage


def learning_rate(step: int, stage: Stage, config: Config) -> float:
    """The stage's own; in the joint stage times `gamma` for every milestone passed, counted from its beginning."""
    passed = sum(step - stage.first >= milestone for milestone in config.milestones)
    return stage.learning_rate * (config.gamma**passed if stage.name == "joint" else 1)
