export * from './convolution.ts';
export * from './elementwise.ts';
export * from './gather.ts';
export * from './matmul.ts';
export * from './normalise.ts';
export * from './random.ts';
export * from './reduce.ts';
export * from './shape.ts';
