/** The activations that bfloat16 tensors can have; operators name them by their place here. */
export const BF16_ACTIVATIONS = ['silu', 'gelu', 'geluTanh'] as const;
/** An activation that bfloat16 tensors can have. */
export type Bf16Activation = (typeof BF16_ACTIVATIONS)[number];
