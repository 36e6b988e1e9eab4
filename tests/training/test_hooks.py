from types import SimpleNamespace

import pytest

from dmzrep.training import HookList, Hooks, ProgressBar


class Recorder(Hooks):
    def __init__(self, name, log, stop=False):
        self.name, self.log, self.stop = name, log, stop

    def fit_begin(self, trainer, n_samples):
        self.log.append((self.name, "fit_begin", n_samples))

    def epoch_begin(self, trainer):
        self.log.append((self.name, "epoch_begin"))

    def step_end(self, trainer, loss):
        self.log.append((self.name, "step_end", loss))

    def epoch_end(self, trainer):
        self.log.append((self.name, "epoch_end"))
        return self.stop

    def fit_end(self, trainer):
        self.log.append((self.name, "fit_end"))


@pytest.mark.parametrize("stops", [(False, False), (True, False), (False, True)])
def test_hook_list_calls_all_hooks_in_order_and_any_can_stop(stops):
    log = []
    hooks = HookList([Recorder(name, log, stop) for name, stop in zip("ab", stops, strict=True)])
    hooks.fit_begin(None, 7)
    hooks.epoch_begin(None)
    hooks.step_end(None, 0.5)
    assert hooks.epoch_end(None) is any(stops)
    hooks.fit_end(None)
    events = [("fit_begin", 7), ("epoch_begin",), ("step_end", 0.5), ("epoch_end",), ("fit_end",)]
    assert log == [(name, *event) for event in events for name in "ab"]


def test_progress_bar_displays_percentage_loss_and_speed(capsys):
    trainer = SimpleNamespace(
        history=[{"loss": 0.1234, "validation_loss": 0.5678, "images_per_second": 90.4}],
        epoch=3,
        progress=lambda n_samples: 0.5 if n_samples == 10 else 0.0,
    )
    bar = ProgressBar()
    bar.fit_begin(trainer, 10)
    assert bar.epoch_end(trainer) is False
    bar.step_end(trainer, None)
    bar.fit_end(trainer)
    displayed = capsys.readouterr().err
    for part in ("DMZEncoder.fit", "50%", "epoch=3", "loss=0.1234", "val=0.5678", "img/s=90"):
        assert part in displayed
