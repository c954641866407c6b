/** The activations that bfloat16 tensors can have; operators name them by their place here. */
export const BF16_ACTIVATIONS = ['silu', 'gelu', 'geluTanh'] as const;
/** An activation that bfloat16 tensors can have. */
export type Bf16Activation = (typeof BF16_ACTIVATIONS)[number];
/** Whether bfloat16 tensors can have an activation; others are computed in float32. */
export const isBf16Activation = (name: string): name is Bf16Activation =>
  (BF16_ACTIVATIONS as readonly string[]).includes(name);
