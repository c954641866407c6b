/** Questions to chat models, from text files with placeholders. */
import { HeedError } from '../../error.ts';
import { readText } from '../../files.ts';
import type { Conversation } from './source.ts';

/** Fills in a template in one pass, so that placeholders inside a completion stay as they are. */
export const fillTemplate = (template: string, parts: Readonly<Record<string, string>>): string =>
  template.replace(/\{\{\s*(\w+)\s*\}\}/g, (whole, name: string) => parts[name] ?? whole);

/** A prompt as one text. */
export function textOfPrompt(prompt: string | Conversation): string {
  if (typeof prompt === 'string') return prompt;
  const contents = prompt.map(({ role, content }) => ({ role, text: typeof content === 'string' ? content : '' }));
  return contents.length === 1 ? contents[0].text : contents.map(({ role, text }) => `${role}: ${text}`).join('\n\n');
}

/**
 * The template in a file.
 *
 * @throws HeedError with the hint if it cannot be read, or lacks one of the placeholders.
 */
export function readTemplate(path: string, names: readonly string[], hint: string): string {
  const template = readText(path);
  const missing = names.filter((name) => !new RegExp(`\\{\\{\\s*${name}\\s*\\}\\}`).test(template));
  if (missing.length === 0) return template;
  throw new HeedError(`"${path}" has no ${missing.map((name) => `{{${name}}}`).join(' and no ')}.`, { hint });
}
