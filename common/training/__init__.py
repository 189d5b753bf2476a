"""What every training does alike: processes, order of samples, run folder, log, loop, schedules."""
