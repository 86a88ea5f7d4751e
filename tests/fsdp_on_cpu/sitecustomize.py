"""For tests alone, on the PYTHONPATH of training processes: FSDP2 on a CPU.

accelerate turns FSDP on for GPUs and their kin only, and makes plain data parallel of it elsewhere. This does on a CPU
what accelerate.state does on GPUs; the sharding itself is PyTorch's own, over gloo.
"""

import os

if os.environ.get("ACCELERATE_USE_FSDP") == "true" and os.environ.get("LOCAL_RANK"):
    from accelerate import state
    from accelerate.utils import DistributedType

    plain = state.AcceleratorState.__init__

    def sharded(self, mixed_precision=None, cpu=False, *rest, fsdp_plugin=None, **more):
        plain(self, mixed_precision, cpu, *rest, fsdp_plugin=fsdp_plugin, **more)
        if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.FSDP
            if self._mixed_precision != "no":
                fsdp_plugin.set_mixed_precision(self._mixed_precision)
            self.fsdp_plugin = fsdp_plugin
            state.PartialState._shared_state["distributed_type"] = self.distributed_type

    state.AcceleratorState.__init__ = sharded
