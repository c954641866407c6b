import type { Content, Judgment, ProjectSettings } from '../page/api.ts';
import type { Written } from './drafts.ts';

/** What the controls for each kind of item get. */
export interface KindProps {
  settings: ProjectSettings;
  content: Content;
  /** The order in which the options are shown, as indices. */
  shown: readonly number[];
  /** Sends the judgment, unless something is missing. */
  submit(judgment: Judgment): void;
  /** What was written about the item before, here and not sent. */
  written: Written;
  /** Keeps what is written now. */
  keep<F extends keyof Written>(field: F, value: Written[F]): void;
  /** Called with the index of the option that is chosen and not sent yet, or undefined. */
  onChoice?(option: number | undefined): void;
  /** The option whose card was chosen last. Another click is another object. */
  picked?: { option: number } | undefined;
  /** Whether keys mean something else at the moment. */
  paused: boolean;
}
