from types import SimpleNamespace

import pytest

from dmzrep.training import HookList, Hooks, ProgressBar


class Recorder(Hooks):
    def __init__(self, stop, log):
        self.stop, self.log = stop, log

    def epoch_end(self, trainer):
        self.log.append(self.stop)
        return self.stop


@pytest.mark.parametrize("stops", [[False, False], [True, False], [False, True]])
def test_any_hook_can_stop_training_and_all_are_called(stops):
    log = []
    assert HookList([Recorder(stop, log) for stop in stops]).epoch_end(None) is any(stops)
    assert log == stops


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
