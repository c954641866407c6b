/** Log entries of servers and trainings, as text for people or as one JSON object a line. */

/** How log entries are written. */
export const logFormats = ['text', 'json'] as const;
/** How log entries are written. */
export type LogFormat = (typeof logFormats)[number];

/** What an entry is: information, something to look at, or a failure. */
export type LogLevel = 'info' | 'warn' | 'error';

/** Fields of an entry besides its time, level and message, such as the id of the request. */
export type LogFields = Readonly<Record<string, unknown>>;

/** An entry as a line, without a line break. */
export function logLine(
  format: LogFormat,
  level: LogLevel,
  message: string,
  fields: LogFields = {},
  time = new Date(),
): string {
  if (format === 'text') return message;
  return JSON.stringify({ time: time.toISOString(), level, message: withoutSecrets(message), ...fields });
}

/** Tokens and keys of heed are 256 random bits in base64url; `sk-` begins the keys of providers. */
const SECRETS = /#token=[\w-]+|\bBearer\s+\S+|\bsk-[\w-]{8,}|(?<![\w-])(?:heed-)?[\w-]{43}(?![\w-])/g;
/** Errors of parsers quote their input: `Unexpected token 'h', "hello" is not valid JSON`. */
const QUOTED_INPUT = /(["“])(?:(?!["”] is not valid).)*["”] is not valid/gs;

/** A message without tokens, keys, and input that a parser quotes. */
export const withoutSecrets = (message: string): string =>
  message.replace(SECRETS, '…').replace(QUOTED_INPUT, '"…" is not valid');
