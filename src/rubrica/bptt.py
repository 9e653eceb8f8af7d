"""Backpropagation through time with the derivatives written out by hand: the fast path of `cells.py`.

Autograd records every small operation of every time step, and for networks of this size the recording costs
several times the arithmetic. Here the forward pass keeps the gates, the backward pass computes all factors that
need no recurrence for all steps at once, and only what truly depends on the next step stays in the loop: one
element-wise product and one matrix product for the GRU. The weight gradients are single products over all steps.

Source: P. Werbos, "Backpropagation through time", Proc. IEEE 78 (1990); the derivatives are our own and the tests
hold them to `torch.nn`, value and gradient, in float64. Where torch's own layer is fused (the LSTM everywhere, all
three on an accelerator) it is faster still and takes the same parameters, so it is called there.

Letters: T steps, B texts, E inputs per step, H hidden units, G gates. A name like `d_h` is the loss's derivative
by `h`. `states` holds h_0 = 0 first, so `states[:-1]` are the states before each step.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def fast_rnn(
    x: Float[Tensor, "T B E"],
    w_ih: Float[Tensor, "H E"],
    w_hh: Float[Tensor, "H H"],
    b_ih: Float[Tensor, " H"],
    b_hh: Float[Tensor, " H"],
) -> Float[Tensor, "T B H"]:
    """All states of `cells.RNN`."""
    if x.is_cuda:
        return torch.rnn_tanh(x, _zero_state(x, w_hh), [w_ih, w_hh, b_ih, b_hh], True, 1, 0.0, True, False, False)[0]
    return _RNN.apply(x, w_ih, w_hh, b_ih, b_hh)  # type: ignore[no-untyped-call]


def fast_gru(
    x: Float[Tensor, "T B E"],
    w_ih: Float[Tensor, "GH E"],
    w_hh: Float[Tensor, "GH H"],
    b_ih: Float[Tensor, " GH"],
    b_hh: Float[Tensor, " GH"],
) -> Float[Tensor, "T B H"]:
    """All states of `cells.GRU`."""
    if x.is_cuda:
        return torch.gru(x, _zero_state(x, w_hh), [w_ih, w_hh, b_ih, b_hh], True, 1, 0.0, True, False, False)[0]
    return _GRU.apply(x, w_ih, w_hh, b_ih, b_hh)  # type: ignore[no-untyped-call]


def fast_lstm(
    x: Float[Tensor, "T B E"],
    w_ih: Float[Tensor, "GH E"],
    w_hh: Float[Tensor, "GH H"],
    b_ih: Float[Tensor, " GH"],
    b_hh: Float[Tensor, " GH"],
) -> Float[Tensor, "T B H"]:
    """All states of `cells.LSTM`: torch's own layer, which is fused (oneDNN, cuDNN) for the LSTM alone."""
    start = _zero_state(x, w_hh)
    return torch.lstm(x, (start, start), [w_ih, w_hh, b_ih, b_hh], True, 1, 0.0, True, False, False)[0]


def _zero_state(x: Tensor, w_hh: Tensor) -> Tensor:
    return x.new_zeros(1, x.shape[1], w_hh.shape[1])


def _parameter_gradients(
    ctx: Any, x: Tensor, states: Tensor, w_ih: Tensor, d_x_gates: Tensor, d_h_gates: Tensor
) -> tuple[Tensor | None, Tensor, Tensor, Tensor, Tensor]:
    """From the gates' derivatives of all steps to those of the input and the four parameters."""
    flat_x, flat_h = d_x_gates.flatten(0, 1), d_h_gates.flatten(0, 1)
    d_x = (flat_x @ w_ih).view_as(x) if ctx.needs_input_grad[0] else None  # a frozen embedding wants none
    d_w_ih = flat_x.t() @ x.flatten(0, 1)
    d_w_hh = flat_h.t() @ states[:-1].flatten(0, 1)
    return d_x, d_w_ih, d_w_hh, flat_x.sum(0), flat_h.sum(0)


class _RNN(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
        states = x.new_zeros(x.shape[0] + 1, x.shape[1], w_hh.shape[1])
        h, w_hh_t = states.unbind(0), w_hh.t()
        for t, x_gate in enumerate(F.linear(x, w_ih, b_ih + b_hh).unbind(0)):
            torch.addmm(x_gate, h[t], w_hh_t, out=h[t + 1]).tanh_()
        ctx.save_for_backward(x, w_ih, w_hh, states)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> Any:
        x, w_ih, w_hh, states = ctx.saved_tensors
        slope = 1 - states[1:].square()  # tanh' = 1 - tanh^2
        d_gates = torch.empty_like(slope)
        from_above, slopes, out = d_states.unbind(0), slope.unbind(0), d_gates.unbind(0)
        d_h = from_above[-1]
        for t in range(len(out) - 1, -1, -1):
            torch.mul(d_h, slopes[t], out=out[t])
            if t:
                d_h = torch.addmm(from_above[t - 1], out[t], w_hh)
        return _parameter_gradients(ctx, x, states, w_ih, d_gates, d_gates)


class _GRU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
        hidden = w_hh.shape[1]
        gates = F.linear(x, w_ih, b_ih)  # (T, B, 3H): the input's part, turned into r, z, n in place
        h_gates = torch.empty_like(gates)
        states = x.new_zeros(x.shape[0] + 1, x.shape[1], hidden)
        h, w_hh_t, h_gate = states.unbind(0), w_hh.t(), h_gates.unbind(0)
        h_rz, h_n = h_gates[..., : 2 * hidden].unbind(0), h_gates[..., 2 * hidden :].unbind(0)
        rz, n = gates[..., : 2 * hidden].unbind(0), gates[..., 2 * hidden :].unbind(0)
        r, z = gates[..., :hidden].unbind(0), gates[..., hidden : 2 * hidden].unbind(0)
        for t in range(len(h_gate)):
            torch.addmm(b_hh, h[t], w_hh_t, out=h_gate[t])
            rz[t].add_(h_rz[t]).sigmoid_()
            n[t].addcmul_(r[t], h_n[t]).tanh_()
            torch.lerp(n[t], h[t], z[t], out=h[t + 1])  # (1 - z) n + z h
        ctx.save_for_backward(x, w_ih, w_hh, states, gates, h_gates)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> Any:
        x, w_ih, w_hh, states, gates, h_gates = ctx.saved_tensors
        r, z, n = gates.chunk(3, dim=2)
        h_n = h_gates.chunk(3, dim=2)[2]
        # Derivatives of h_t by what enters each gate, so that d_h_gates = d_h * factors.
        by_n = (1 - z) * (1 - n.square())
        factors = torch.stack([by_n * h_n * r * (1 - r), (states[:-1] - n) * z * (1 - z), by_n * r], dim=2)
        d_h_gates = torch.empty_like(factors)  # (T, B, 3, H)
        d_h_all = torch.empty_like(by_n)
        flat = d_h_gates.flatten(2).unbind(0)
        out, factor, keep, d_h, from_above = (
            d_h_gates.unbind(0), factors.unbind(0), z.unbind(0), d_h_all.unbind(0), d_states.unbind(0)
        )  # fmt: skip
        d_h[-1].copy_(from_above[-1])
        for t in range(len(out) - 1, -1, -1):
            torch.mul(d_h[t].unsqueeze(1), factor[t], out=out[t])
            if t:
                torch.addcmul(from_above[t - 1], d_h[t], keep[t], out=d_h[t - 1]).addmm_(flat[t], w_hh)
        d_h_gates = d_h_gates.flatten(2)
        d_x_gates = d_h_gates.clone()  # r and z see input and state alike; n sees the input without r
        torch.mul(d_h_all, by_n, out=d_x_gates[..., 2 * h_n.shape[2] :])
        return _parameter_gradients(ctx, x, states, w_ih, d_x_gates, d_h_gates)
