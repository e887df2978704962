"""bnnhw: train a binarized neural network, prove properties of its exact integer model, deploy that same model."""
