/** POST /v1/completions: a model continues texts. */
import { Hono } from 'hono';
import type { QueuedToken } from '../../lm/generation-queue.ts';
import type { Tokenizer } from '../../lm/tokenizer.ts';
import { readBody } from '../body.ts';
import { type Env, requestOf, requires, type ServeContext } from '../context.ts';
import { draftOf, draw, finishReasonOf, requestSignal, tokensOf, usageOf } from './draw.ts';
import { eventStream } from './events.ts';
import { recordCompletion } from './record.ts';
import { refusedInText, type TextRequest, textRequestSchema } from './schema.ts';
import { textOfToken } from './token-logprob.ts';

/** The route of text completions. */
export function textRoutes(context: ServeContext): Hono<Env> {
  return new Hono<Env>().post('/completions', requires('chat'), async (c) => {
    const request = await readBody(c, textRequestSchema, refusedInText);
    const caller = { ...requestOf(c), user: request.user };
    c.set('caller', caller);
    const served = await context.shelf.route(request.model, caller.user);
    const { tokenizer } = served.model;
    let draft: ReturnType<typeof draftOf>;
    try {
      draft = draftOf(context, served, request, caller, {
        prefix: 'cmpl-',
        param: 'prompt',
        maxTokens: request.max_tokens,
        topLogprobs: request.logprobs ?? 0,
        prompts: promptsOf(request, tokenizer),
      });
    } catch (error) {
      served[Symbol.dispose]();
      throw error;
    }
    for (const [name, value] of Object.entries(draft.headers)) c.header(name, value);
    const signal = requestSignal(context, c.req.raw.signal);
    const { start, prompts, choices } = draft;
    const created = Math.floor(context.now() / 1000);
    const body = (choices: object[], more: object = {}) => ({
      ...{ id: start.id, object: 'text_completion', created, model: start.model },
      ...{ system_fingerprint: start.version, choices, ...more },
    });
    const tokens: QueuedToken[][] = Array.from({ length: choices }, () => []);
    const echoed = prompts.map((ids) => (request.echo ? tokenizer.decode(ids) : ''));
    const echoOf = (index: number) => echoed[Math.floor(index / request.n)];
    const logprobsOf = (index: number, from = 0) =>
      request.logprobs === undefined
        ? null
        : legacyLogprobs(tokenizer, tokens[index].slice(from), echoOf(index).length);

    const finish = async (onToken: (index: number, token: QueuedToken) => void = () => {}) => {
      using own = draft;
      const completions = await draw(context, own, signal, (index, token) => {
        tokens[index].push(token);
        onToken(index, token);
      });
      const { prompt, model: _, ...rest } = request;
      const usage = usageOf(prompts, tokensOf(completions));
      await recordCompletion(context, {
        ...start,
        kind: 'text',
        created: context.now(),
        metadata: {},
        messages: prompts.map((ids) => ({ role: 'user', content: tokenizer.decode(ids) })),
        request: rest,
        choices: completions.map((completion, index) => ({
          index,
          message: { role: 'assistant', content: completion.text ?? '' },
          text: completion.text ?? '',
          tokenIds: completion.ids,
          logprobs: completion.logprobs,
          finishReason: finishReasonOf(completion),
        })),
        usage,
        stored: false,
      });
      return { completions, usage };
    };

    if (!request.stream) {
      const { completions, usage } = await finish();
      const all = completions.map((completion, index) => ({
        ...{ index, text: echoOf(index) + completion.text, logprobs: logprobsOf(index) },
        finish_reason: finishReasonOf(completion),
      }));
      return c.json(body(all, { usage, ...draft.fields }));
    }
    return eventStream(c, context, async (send) => {
      let isFirst = true;
      const { usage } = await finish((index, token) => {
        const text = (tokens[index].length === 1 ? echoOf(index) : '') + token.text;
        const finish_reason = token.completion ? finishReasonOf(token.completion) : null;
        const logprobs = logprobsOf(index, tokens[index].length - 1);
        send(body([{ index, text, logprobs, finish_reason }], isFirst ? draft.fields : {}));
        isFirst = false;
      });
      if (request.stream_options?.include_usage) send(body([], { usage }));
    });
  });
}

function promptsOf({ prompt }: TextRequest, tokenizer: Tokenizer): number[][] {
  if (typeof prompt === 'string') return [tokenizer.encode(prompt)];
  if (typeof prompt[0] === 'number') return [prompt as number[]];
  return (prompt as (string | number[])[]).map((one) => (typeof one === 'string' ? tokenizer.encode(one) : one));
}

/** Log-probabilities in the form of this older endpoint. */
function legacyLogprobs(tokenizer: Tokenizer, tokens: readonly QueuedToken[], offset: number) {
  const texts = tokens.map(({ id }) => textOfToken(tokenizer, id));
  let at = offset;
  return {
    tokens: texts,
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ top = [] }) =>
      Object.fromEntries(top.map(({ id, logprob }) => [textOfToken(tokenizer, id), logprob])),
    ),
    text_offset: texts.map((text) => {
      at += text.length;
      return at - text.length;
    }),
  };
}
