export { type Checked, type CheckOptions, check, type Duplicate } from './check.ts';
export { adopt, convertRow, explicitPrompt, fromAlpaca, fromHh, fromShareGpt, unpair } from './convert.ts';
export { type DatasetOptions, type DatasetRow, describeBadRow, readDataset } from './dataset.ts';
export { type FileType, fileType } from './file.ts';
export {
  detectFormat,
  type ForeignFormat,
  type Format,
  faultOf,
  formats,
  type Message,
  type TextOrMessages,
} from './format.ts';
export { type Inspection, type InspectOptions, inspect, type Lengths } from './inspect.ts';
export { epochOrder, shuffled } from './order.ts';
export { dataFiles } from './paths.ts';
export { type BadRow, type Fault, type Place, placeInWords, type Row } from './row.ts';
export {
  collectRows,
  type Data,
  type DataRows,
  isRows,
  type MessagesRow,
  type PreferenceRow,
  type PromptCompletionRow,
  type PromptRow,
  type RankingRow,
  type RatedRow,
  type RowMessage,
  type RowText,
  type StepwiseRow,
  type TextRow,
  type UnpairedPreferenceRow,
} from './rows.ts';
export { type Split, type SplitOptions, type Splits, splitDataset, splitSchema, splits } from './split.ts';
export { writeDataset } from './write.ts';
