/** The tokens that a chat template puts between two turns of the policy. */
import { HeedError } from '../../error.ts';
import { chatText } from '../../lm/chat-template.ts';
import type { ChatMessage } from '../../lm/render-chat.ts';
import type { Tokenizer } from '../../lm/tokenizer.ts';
import type { ToolSchema } from '../../lm/tool-calls.ts';

/** Stands for the policy's turn in a rendered conversation. */
const MARK = '⟦heed:turn⟧';

/**
 * The tokens after a turn of the policy: the end of the turn as far as the policy did not write it, the messages that
 * follow, and the beginning of its next turn. The turn's own tokens stay as they were drawn: to encode the whole
 * conversation again could split them in another way, and the policy would learn from what it did not read.
 *
 * @param earlier The messages before the turn.
 * @param response The turn's tokens.
 * @throws HeedError if the template writes earlier turns differently as a conversation continues.
 */
export function tokensBetween(
  tokenizer: Tokenizer,
  earlier: readonly ChatMessage[],
  response: readonly number[],
  following: readonly ChatMessage[],
  tools: readonly ToolSchema[] | undefined,
): number[] {
  const options = { tools, addGenerationPrompt: true };
  const before = chatText(tokenizer, earlier, options);
  const text = chatText(tokenizer, [...earlier, { role: 'assistant', content: MARK }, ...following], options);
  const at = text.indexOf(MARK);
  const isContinued = at >= 0 && text.startsWith(before) && text.slice(before.length, at).trim() === '';
  if (!isContinued) {
    throw new HeedError('The chat template writes earlier turns differently as the conversation continues.', {
      hint: 'Episodes of several turns need a template that only appends: name another one, such as --chat-template chatml.',
    });
  }
  const after = text.slice(at + MARK.length);
  return tokenizer.encode(after.slice(writtenEnd(tokenizer, response, after)), { addSpecialTokens: false });
}

/** How many characters of the text after a turn the turn itself ends with: the mark of its end. */
function writtenEnd(tokenizer: Tokenizer, response: readonly number[], after: string): number {
  const last = tokenizer.tokenOf(response.at(-1)!) ?? '';
  const raw = tokenizer.decode(response, { skipSpecialTokens: false });
  const end = last === '' ? -1 : after.indexOf(last);
  const mark = after.slice(0, end + last.length);
  return end >= 0 && raw.endsWith(mark) ? mark.length : 0;
}
