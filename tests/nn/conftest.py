"""One torch thread per test process: several processes with several threads each would wait for one another."""

import torch

torch.set_num_threads(1)
