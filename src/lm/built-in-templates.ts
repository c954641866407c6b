/** Chat templates for models without one: built-in ones by name, or a file. */

import { z } from 'zod';
import { HeedError } from '../error.ts';
import { readText } from '../files.ts';
import { existsSync } from '../node.ts';
import { optionalText } from '../options.ts';
import { endsWithTurn, type ModelData } from './model.ts';
import { compileTemplate } from './tokenizer/jinja.ts';
import { TEMPLATE, type Tokenizer } from './tokenizer.ts';

/** A message's text: for a list of parts, the text of each. */
const CONTENT = [
  '{%- macro text(content) -%}',
  '{%- if content is string -%}{{ content }}',
  '{%- elif content -%}{%- for part in content -%}{{ part.text }}{%- endfor -%}{%- endif -%}',
  '{%- endmacro -%}',
].join('\n');

/** Turns that begin with a name and a colon, with an empty line between two. The end of the text ends a response. */
const named = (user: string, assistant: string): string => `${CONTENT}
{%- set names = {'user': '${user}', 'assistant': '${assistant}'} -%}
{%- for message in messages -%}
{%- if not loop.first -%}{{ '\\n\\n' }}{%- endif -%}
{{ names.get(message.role, message.role | capitalize) }}:
{%- if message.role == 'assistant' -%}
{%- generation -%}{{ ' ' + text(message.content) + eos_token }}{%- endgeneration -%}
{%- else -%}{{ ' ' + text(message.content) }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '\\n\\n${assistant}:' }}{%- endif -%}`;

/** How a model calls tools, for one that has never seen it. */
const CALL = '<tool_call>\\n{"name": "NAME", "arguments": {"KEY": "VALUE"}}\\n</tool_call>';

/**
 * Turns between markers. The mark at the end of a turn may be several tokens, so an end-of-text token follows each
 * response too. Tools are listed in the system's turn, and called in blocks, as Hermes does.
 */
const chatml = `${CONTENT}
{%- set system = messages[0] if tools and messages[0].role == 'system' else none -%}
{%- if tools -%}
{{ '<|im_start|>system\\n' }}
{%- if system -%}{{ text(system.content) + '\\n\\n' }}{%- endif -%}
{{ 'You can call these functions:\\n<tools>' }}
{%- for tool in tools -%}{{ '\\n' + tool | tojson }}{%- endfor -%}
{{ '\\n</tools>\\nTo call one, write:\\n${CALL}<|im_end|>' }}
{%- endif -%}
{%- for message in messages -%}
{%- if not (loop.first and system) -%}
{%- if tools or not loop.first -%}{{ '\\n' }}{%- endif -%}
{{ '<|im_start|>' + message.role + '\\n' }}
{%- if message.role == 'assistant' -%}
{%- generation -%}{{ text(message.content) }}
{%- for call in message.tool_calls or [] -%}
{%- if message.content or not loop.first -%}{{ '\\n' }}{%- endif -%}
{{ '<tool_call>\\n{"name": ' + call.function.name | tojson + ', "arguments": ' }}
{%- if call.function.arguments is string -%}{{ call.function.arguments }}
{%- else -%}{{ call.function.arguments | tojson }}
{%- endif -%}
{{ '}\\n</tool_call>' }}
{%- endfor -%}
{{ '<|im_end|>' }}
{%- if eos_token != '<|im_end|>' -%}{{ eos_token }}{%- endif -%}{%- endgeneration -%}
{%- else -%}{{ text(message.content) + '<|im_end|>' }}
{%- endif -%}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '\\n<|im_start|>assistant\\n' }}{%- endif -%}`;

const builtIn = { plain: named('User', 'Assistant'), human: named('Human', 'Assistant'), chatml } as const;

/** Names of the built-in templates. */
export const templateNames = Object.keys(builtIn) as (keyof typeof builtIn)[];

/** The schema of the option `chatTemplate`. */
export const chatTemplateSchema = optionalText(
  `how messages become text: ${templateNames.join(', ')} or a Jinja file (default: the model's own, else plain)`,
);

/** The schema of the option `chatTemplateKwargs`. */
export const chatTemplateKwargsSchema = z
  .record(z.string(), z.unknown())
  .optional()
  .describe(
    'further variables of the chat template, as JSON: \'{"enable_thinking": false}\'; strftime_now sets its date',
  );

/** The options of the template that writes messages. */
export interface TemplateOptions {
  /** A built-in template by name, or a file. Default: the tokenizer's own. */
  chatTemplate?: string;
  /** Further variables of the template. `strftime_now` is the date that it writes, as 2026-11-26. */
  chatTemplateKwargs?: Record<string, unknown>;
}

/**
 * The tokenizer with another chat template: a built-in one by name, or a file. Without `template`, a tokenizer that has
 * none adopts `plain` when it first writes a conversation, and calls `onNotice`. The tokenizer's files, which are saved
 * with a model, carry the template.
 *
 * @throws HeedError if the template cannot be read, or a built-in one needs an end token that the tokenizer lacks.
 */
export function withChatTemplate(
  plain: Tokenizer,
  { chatTemplate: template, chatTemplateKwargs: templateVariables }: TemplateOptions = {},
  onNotice: (text: string) => void = () => {},
): Tokenizer {
  const tokenizer = templateVariables ? { ...plain, templateVariables } : plain;
  if (template !== undefined) return templated(tokenizer, readTemplate(template, tokenizer));
  if (tokenizer.chatTemplate !== undefined) return tokenizer;
  let adopted: Tokenizer | undefined;
  return {
    ...tokenizer,
    get chatTemplate() {
      return adopted?.chatTemplate;
    },
    get chatTemplates() {
      return (adopted ?? tokenizer).chatTemplates;
    },
    get files() {
      return (adopted ?? tokenizer).files;
    },
    adoptTemplate() {
      if (!adopted) {
        adopted = templated(tokenizer, readTemplate('plain', tokenizer));
        onNotice(
          'The model has no chat template: messages are written by "plain" (User: …, Assistant: …), which is saved with it. --chat-template names another.',
        );
      }
      return adopted.chatTemplate!;
    },
  };
}

/** A model with its tokenizer passed through `withChatTemplate`. @throws HeedError likewise. */
export function templatedModel<
  M extends Pick<ModelData, 'tokenizer' | 'ends'> & Partial<Pick<ModelData, 'generation'>>,
>(model: M, options?: TemplateOptions, onNotice?: (text: string) => void): M {
  const changed = { ...model, tokenizer: withChatTemplate(model.tokenizer, options, onNotice) };
  return options?.chatTemplate === undefined ? changed : { ...changed, ...endsWithTurn(changed, onNotice) };
}

const templated = (tokenizer: Tokenizer, template: string): Tokenizer => ({
  ...tokenizer,
  chatTemplate: template,
  chatTemplates: { ...tokenizer.chatTemplates, default: template },
  files: { ...tokenizer.files, [TEMPLATE]: template },
});

function readTemplate(name: string, tokenizer: Tokenizer): string {
  if (Object.hasOwn(builtIn, name)) return forTokenizer(builtIn[name as keyof typeof builtIn], tokenizer);
  if (!existsSync(name)) {
    throw new HeedError(`There is no chat template "${name}".`, {
      hint: `Set --chat-template to one of ${templateNames.join(', ')}, or to a file with a Jinja template.`,
    });
  }
  const text = readText(name);
  try {
    compileTemplate(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new HeedError(`The chat template in "${name}" cannot be read: ${why}`, {
      hint: 'It has to be a Jinja template, such as the chat_template.jinja of a chat model.',
      cause,
    });
  }
  return text;
}

/** Makes a built-in template begin a text as the tokenizer does. */
function forTokenizer(template: string, { encode, eos, bos }: Tokenizer): string {
  if (eos === undefined) {
    throw new HeedError('The tokenizer has no EOS token, so a chat template cannot mark where a response ends.', {
      hint: 'Name one as eos_token in tokenizer_config.json.',
    });
  }
  const begins = bos !== undefined && encode('a')[0] === bos;
  return begins ? `{{- bos_token -}}\n${template}` : template;
}
