/** An answer's text as its tokens come, up to the first of some strings. */
import type { Tokenizer } from './tokenizer.ts';

export interface AnswerText {
  /** The text that is final now; what may be the beginning of a stop string is held back. */
  push(id: number): string;
  /** The rest, once no token follows. */
  end(): string;
  /** Whether a stop string came; nothing from it on is given. */
  readonly stopped: boolean;
  /** All that was given. */
  readonly text: string;
}

export function answerText(tokenizer: Pick<Tokenizer, 'decodeStream'>, stops: readonly string[] = []): AnswerText {
  const stream = tokenizer.decodeStream();
  let text = '';
  let waiting = '';
  let stopped = false;
  const give = (length: number) => {
    const piece = waiting.slice(0, length);
    waiting = waiting.slice(length);
    text += piece;
    return piece;
  };
  const take = (piece: string): string => {
    if (stopped) return '';
    waiting += piece;
    const found = stops.map((stop) => waiting.indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) {
      stopped = true;
      return give(Math.min(...found));
    }
    return give(waiting.length - Math.max(0, ...stops.map((stop) => begun(waiting, stop))));
  };
  return {
    push: (id) => take(stream.push(id)),
    end() {
      const piece = take(stream.end());
      return stopped ? piece : piece + give(waiting.length);
    },
    get stopped() {
      return stopped;
    },
    get text() {
      return text;
    },
  };
}

/** How many characters at the end of a text are the beginning of a stop string. */
function begun(text: string, stop: string): number {
  for (let length = Math.min(stop.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
