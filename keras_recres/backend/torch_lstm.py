"""A whole LSTM with peepholes on PyTorch, whose gradient is a loop of its own.

Autograd would keep some twenty operations for every step and add up the gradients of the weights
one step at a time: this takes two thirds of the time (`python -m training.benchmark cells`).
"""

import torch

from keras_recres.backend.types import Tensor


def step(
    projected: Tensor,
    h: Tensor,
    c: Tensor,
    kernel: Tensor,
    peepholes: Tensor,
    carried: Tensor | None = None,
) -> list[Tensor] | None:
    """A step in few operations; see `peephole_lstm_step` in `backend/tensorflow.py`."""
    z = torch.addmm(projected, h, kernel)
    z_i, z_f, z_c, z_o = (z if z.dtype == c.dtype else z.to(c.dtype)).chunk(4, dim=1)
    p_i, p_f, p_o = peepholes
    i = torch.addcmul(z_i, p_i, c).sigmoid()
    f = torch.addcmul(z_f, p_f, c).sigmoid()
    c = torch.addcmul(f * c, i, z_c.tanh())
    if carried is not None:
        c = c + carried
    h = torch.addcmul(z_o, p_o, c).sigmoid() * c.tanh()
    return [h, c]


def whole(
    projected: Tensor, h: Tensor, c: Tensor, kernel: Tensor, peephole: Tensor
) -> tuple[Tensor, Tensor] | None:
    """All steps in training; see `peephole_lstm` in `backend/tensorflow.py`."""
    inputs = projected, h, c, kernel, peephole
    same = len({x.dtype for x in inputs}) == 1
    if not (same and torch.is_grad_enabled() and any(x.requires_grad for x in inputs)):
        return None
    return _Whole.apply(*inputs)


def _loop(projected, h, c, kernel, peephole):
    """What `_Whole` computes, step by step, for gradients of its gradient."""
    hs, peepholes = [], peephole.unbind()
    for x in projected.unbind():
        h, c = step(x, h, c, kernel, peepholes)
        hs.append(h)
    return torch.stack(hs), c


class _Whole(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *inputs):
        projected, h, c, kernel, peephole = inputs
        steps, _, width = len(projected), *h.shape
        hs, cs = (h.new_empty((steps + 1, *h.shape)) for _ in range(2))
        hs[0], cs[0] = h, c
        gates, squashed = torch.empty_like(projected), torch.empty_like(hs[1:])
        p_i, p_f, p_o = peephole.unbind()
        rows = zip(projected, gates, hs, hs[1:], cs, cs[1:], squashed, strict=False)
        for x, z, h, new_h, c, new_c, t in rows:
            torch.addmm(x, h, kernel, out=z)
            i, f, g, o = z.chunk(4, dim=1)
            i.addcmul_(p_i, c)
            f.addcmul_(p_f, c)
            z[:, : 2 * width].sigmoid_()
            torch.mul(f, c, out=new_c).addcmul_(i, g.tanh_())
            o.addcmul_(p_o, new_c).sigmoid_()
            torch.mul(o, torch.tanh(new_c, out=t), out=new_h)
        ctx.save_for_backward(*inputs, hs, cs, gates, squashed)
        return hs[1:].clone(), cs[-1].clone()

    @staticmethod
    def backward(ctx, d_hs, d_c):
        *inputs, hs, cs, gates, t = ctx.saved_tensors
        if torch.is_grad_enabled():
            # For a gradient of this gradient.
            wanted = [x for x in inputs if x.requires_grad]
            found = iter(
                torch.autograd.grad(_loop(*inputs), wanted, (d_hs, d_c), create_graph=True)
            )
            return tuple(next(found) if x.requires_grad else None for x in inputs)
        *_, kernel, peephole = inputs
        i, f, g, o = gates.chunk(4, dim=2)
        before = cs[:-1]
        # All that does not depend on the gradient coming back, of all steps at once.
        of_i, of_f, of_g = g * i * (1 - i), before * f * (1 - f), i * (1 - g * g)
        of_o, of_c = t * o * (1 - o), o * (1 - t * t)
        p_i, p_f, p_o = peephole.unbind()
        transposed, d_z, d_h = kernel.t().contiguous(), torch.empty_like(gates), 0
        columns = d_z, d_hs, of_i, of_f, of_g, of_o, of_c, f
        rows = zip(*(column.unbind() for column in columns), strict=True)
        for z, d, s_i, s_f, s_g, s_o, s_c, f_t in reversed(list(rows)):
            d_h = d_h + d
            d_i, d_f, d_g, d_o = z.chunk(4, dim=1)
            torch.mul(d_h, s_o, out=d_o)
            d_c = torch.addcmul(d_c, d_h, s_c).addcmul_(d_o, p_o)
            torch.mul(d_c, s_i, out=d_i)
            torch.mul(d_c, s_f, out=d_f)
            torch.mul(d_c, s_g, out=d_g)
            d_c = (d_c * f_t).addcmul_(d_i, p_i).addcmul_(d_f, p_f)
            d_h = z @ transposed
        d_i, d_f, _, d_o = d_z.chunk(4, dim=2)
        d_kernel = hs[:-1].flatten(0, 1).t() @ d_z.flatten(0, 1)
        seen = (d_i, before), (d_f, before), (d_o, cs[1:])
        d_peephole = torch.stack([(d * c).sum(dim=(0, 1)) for d, c in seen])
        return d_z, d_h, d_c, d_kernel, d_peephole
