import type { Answer, Content, ProjectSettings } from '../page/api.ts';

/** What each way of answering is given. */
export interface KindProps {
  settings: ProjectSettings;
  content: Content;
  /** In which order the options are seen. */
  shown: readonly number[];
  /** Says so, unless something is missing. */
  give(answer: Answer): void;
  /** Keys mean something else now. */
  paused: boolean;
}
