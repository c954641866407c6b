/** Somebody behind an endpoint such as OpenAI's who knows one rule: no sentence names a word. Writes, criticizes, revises and judges. */
import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

interface Asked {
  messages: { content: string }[];
  seed?: number;
}

export interface Critic {
  /** As heed takes it. */
  readonly url: string;
  /** Requests answered so far. */
  readonly answered: number;
  /** Answers so many more, then refuses all, or says nothing at all; without a number, answers again. */
  failAfter(requests?: number, how?: 'refusal' | 'silence'): void;
  /** Settles with the next request that is not answered. */
  asked(): Promise<unknown>;
  close(): void;
}

export const sentencesOf = (completion: string): string[] =>
  completion.match(/[^.]+\./g)?.map((one) => one.trim()) ?? [completion];

/** `mumbles`: gives no verdict, and revises nothing. */
export async function startCritic(word: string, { mumbles = false } = {}): Promise<Critic> {
  let answered = 0;
  let left = Number.POSITIVE_INFINITY;
  let failing: 'refusal' | 'silence' = 'refusal';
  const unanswered = new EventEmitter();
  const names = (sentence: string) => sentence.includes(word);
  const faults = (completion: string) => sentencesOf(completion).filter(names);
  const completionTo = ({ messages, seed = 0 }: Asked): string => {
    const { content } = messages.at(-1)!;
    if (content.startsWith('Two answers')) {
      const [a, b] = content
        .match(/Answer A:\n([\s\S]*)\n\nAnswer B:\n([\s\S]*)\n\nWhich/)!
        .slice(1)
        .map(faults);
      if (mumbles) return 'That is hard to say.';
      return a.length < b.length ? 'A' : a.length > b.length ? 'B' : 'C';
    }
    if (content.startsWith('Look at your last answer')) {
      return `It names the ${word} in: ${faults(messages.at(-2)!.content).join(' ') || 'no sentence'}`;
    }
    if (content.startsWith('Write the answer again')) {
      const completion = messages.at(-4)!.content;
      const kept = mumbles ? sentencesOf(completion) : sentencesOf(completion).filter((sentence) => !names(sentence));
      return kept.join(' ') || 'we liked it.';
    }
    const things = [word, 'owner', 'music', 'parking', 'floor'];
    return [seed, seed >> 8, seed >> 16].map((draw) => `we liked the ${things[draw % things.length]}.`).join(' ');
  };
  const server = createServer(async (request, response) => {
    const asked = JSON.parse(await text(request)) as Asked;
    if (left-- <= 0) {
      unanswered.emit('asked');
      if (failing === 'silence') return;
      response.statusCode = 500;
      response.end('out of order');
      return;
    }
    answered++;
    response.end(JSON.stringify({ choices: [{ message: { role: 'assistant', content: completionTo(asked) } }] }));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1#critic`,
    get answered() {
      return answered;
    },
    failAfter(requests = Number.POSITIVE_INFINITY, how = 'refusal') {
      left = requests;
      failing = how;
    },
    asked: () => once(unanswered, 'asked'),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
