"""Small and fast QPWCNet: ONNX, int8 and TFLite files, their calibration, reports and runtimes."""
