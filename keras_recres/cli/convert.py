"""`convert`: a checkpoint of PyTorch as weights of this library."""

import math
import re
from pathlib import Path

from keras_recres.cli import options
from keras_recres.cli.errors import UserError
from keras_recres.cli.output import Column, count, number, show
from keras_recres.cli.terminal import quietly

COLUMNS = [
    Column("file"),
    Column("model"),
    Column("depth", right=True),
    Column("classes", format=count, right=True),
    Column("weights", format=count, right=True),
    Column("parameters", format=count, right=True),
    Column("difference", "difference when read again", number, right=True),
]
# The published family: each head has 64 features; a side of 16 pixels becomes one token.
HEAD, PIXELS, CHANNELS = 64, 16, 3


def add(commands):
    """Adds the command."""
    p = options.command(
        commands,
        "convert",
        _convert,
        "convert a checkpoint of PyTorch to Keras: a T2T-ViT, or one of torchvision or timm",
        [
            "convert 71.7_T2T_ViT_7.pth.tar",
            "convert 71.7_T2T_ViT_7.pth.tar --steps 2 --out vit7_rec.keras",
            "convert resnet18-f37072fd.pth --network resnet18",
        ],
    )
    p.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="a .pth, .pth.tar or .safetensors file"
    )
    p.add_argument(
        "--network",
        metavar="NAME",
        help="the zoo's name of a network of torchvision or timm; default a T2T-ViT of any size",
    )
    p.add_argument(
        "--out",
        type=Path,
        help="a .weights.h5 or .keras file; default beside the checkpoint, .weights.h5",
    )
    t2t = p.add_argument_group("of a T2T-ViT")
    t2t.add_argument("--steps", type=options.steps, help="run each block so often")
    t2t.add_argument(
        "--num-heads", type=options.positive, help="default one for each 64 features of a token"
    )
    p.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    options.add_backend(p)
    options.add_json(p)


def _convert(arguments):
    from keras_recres.cli import saving

    path = arguments.checkpoint
    if not path.is_file():
        raise UserError(f"there is no checkpoint file {str(path)!r}.")
    if arguments.network and (arguments.steps or arguments.num_heads):
        raise UserError("--steps and --num-heads are a T2T-ViT's: leave them, or --network, out.")
    stem = re.sub(r"(\.safetensors|(\.pth)?(\.tar)?)$", "", path.name)
    out = arguments.out or path.with_name(f"{stem}.weights.h5")
    saving.check_target(out, arguments.overwrite)
    options.start_keras(arguments.backend)
    from keras_recres.zoo import convert
    from keras_recres.zoo.convert.state_dict import read_state_dict

    if arguments.network:
        model = convert.checkpoint(arguments.network, path)
        told = {"weights": len(model.weights)}
    else:
        state, _ = read_state_dict(path)
        found = architecture(state, path.name)
        if arguments.num_heads:
            found["num_heads"] = arguments.num_heads
        model = convert.t2t_vit(path, steps=arguments.steps or 1, verbose=False, **found)
        report = model.conversion_report
        told = {
            "origin": report.origin,
            "depth": found["depth"],
            "arguments": found,
            "weights": sum(report.counts.values()),
            "sinusoid_error": report.sinusoid_error,
        }
    with quietly(f"writing {out}"):
        error = saving.save(model, out)
    row = {
        "file": str(out),
        "model": model.name,
        "depth": None,
        "classes": model.output_shape[-1],
        "parameters": model.count_params(),
        "difference": error,
    }
    show([row | told], COLUMNS, arguments.json)


def architecture(state, origin):
    """The arguments of `t2t_vit` that a checkpoint of the published family was trained with.

    Args:
        state: Weights by their official names.
        origin: What to call the checkpoint in an error.
    """
    blocks = {match[1] for key in state if (match := re.match(r"blocks\.(\d+)\.", key))}
    try:
        dim = state["cls_token"].shape[-1]
        tokens = state["pos_embed"].shape[1] - 1
        hidden = state["blocks.0.mlp.fc1.weight"].shape[0]
        classes = state["head.weight"].shape[0]
        performer = "tokens_to_token.attention1.w" in state
        if performer:
            token_dim = state["tokens_to_token.attention1.w"].shape[1]
        else:
            token_dim = state["tokens_to_token.attention1.attn.qkv.weight"].shape[0] // 3
        patch = state["tokens_to_token.attention1.norm1.weight"].shape[0]
    except (KeyError, IndexError) as error:
        raise UserError(
            f"{origin} is not a T2T-ViT checkpoint with a head ({error}): say --network NAME."
        ) from None
    side = PIXELS * math.isqrt(max(tokens, 0))
    return {
        "depth": len(blocks),
        "num_classes": classes,
        "embed_dim": dim,
        "num_heads": max(1, dim // HEAD),
        "mlp_ratio": hidden / dim,
        "token_dim": token_dim,
        "first_kernel_size": math.isqrt(patch // CHANNELS),
        "token_type": "performer" if performer else "transformer",
        "input_shape": (side, side, CHANNELS),
    }
