export * as initialise from './initialise.ts';
export { type MlpOptions, mlp, mlpEnsemble, type Network } from './mlp.ts';
export { createOptimizer, type Optimizer, type OptimizerOptions } from './optimizer.ts';
export {
  type Arena,
  createArena,
  createParameters,
  exportParameters,
  importParameters,
  type ParameterSpec,
} from './parameters.ts';
export { learningRate, type ScheduleName, type ScheduleOptions, scheduleNames } from './schedule.ts';
export { createTrainStep, type TrainStep } from './train-step.ts';
