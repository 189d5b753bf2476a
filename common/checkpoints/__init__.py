"""Files of weights: written whole, read safely, kept by a run, published ones by name, exported to ONNX."""
