"""Networks: the encoder to binary codes and the denoisers. They know no noise schedule."""
