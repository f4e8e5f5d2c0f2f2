"""What the trainers share: a step of learning, checkpoints, and networks as the reader loads them."""

import os

import numpy as np
import onnx
import torch
from onnx import numpy_helper


def learn(net, mean, optimiser, loss, batches):
    """Moves the weights down the loss, and after `batches` of them the moving mean after the weights."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    optimiser.step()
    decay = min(0.998, 1 - 10 / (batches + 10))
    with torch.no_grad():
        for kept, new in zip(mean.state_dict().values(), net.state_dict().values()):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)


def save(checkpoint, net, mean, optimiser, used, looks):
    """Writes a checkpoint, whole or not at all."""
    state = {"net": net.state_dict(), "mean": mean.state_dict(), "optimiser": optimiser.state_dict(), "used": used, "looks": looks}
    torch.save(state, checkpoint.with_suffix(".part"))
    os.replace(checkpoint.with_suffix(".part"), checkpoint)


def write_onnx(net, shape, file, producer, **names):
    """Writes ONNX with half floats for weights, which both runtimes widen when they load it; `shape` is the input's."""
    torch.onnx.export(net.eval(), (torch.zeros(shape),), file, opset_version=17, dynamo=False, **names)
    model = onnx.load(file)
    graph, casts = model.graph, []
    for weights in list(graph.initializer):
        values = numpy_helper.to_array(weights)
        if values.dtype == np.float32 and values.size > 8:
            graph.initializer.remove(weights)
            graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), weights.name + "_half"))
            casts.append(onnx.helper.make_node("Cast", [weights.name + "_half"], [weights.name], to=onnx.TensorProto.FLOAT))
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    model.producer_name, model.producer_version = producer, "1"
    onnx.checker.check_model(model)
    onnx.save(model, file)
