"""The model families without torch: settings, tensor shapes, forward pass, ONNX, card; one file a family."""
