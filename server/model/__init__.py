"""The model: tokens, the numpy encoder that serves, and the torch trainer that makes its weights."""
