/** heed/tinker: training on a server of Tinker's API, with the loop here. */
export {
  type AdapterOptions,
  type CustomLoss,
  createTinkerClient,
  type KeepOptions,
  type LossConfig,
  type PassResult,
  type SampledCompletions,
  type SampleOptions,
  type StepOptions,
  type TinkerClient,
  type TinkerLoss,
  type TinkerModel,
  type TinkerOptions,
  type TinkerSampler,
} from './client.ts';
export { type ConnectionOptions, TinkerError } from './connection.ts';
export { type CompletionTerms, completionDatum, type Datum } from './datum.ts';
