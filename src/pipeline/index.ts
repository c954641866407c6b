export type { LearnerParts, StageLearner, TrainingRecord } from '../run/training-record.ts';
export type { CompletionsRow, ModelCompletions } from './completions.ts';
export { defaultRecipe } from './default-recipe.ts';
export { createPipeline, type PipelineParts, type PipelineResult, runPipeline, type StageBegun } from './pipeline.ts';
export { checkRecipe, type Recipe, type RecipeInput, recipeSchema, type Stage } from './recipe.ts';
export { pipelineReport } from './report.ts';
export { changeCourse, type PipelineProgress, progressOf, type StageResult } from './state.ts';
export { trainings } from './trainings.ts';
