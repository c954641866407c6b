/** The one error class. `message` says what was wrong, what was expected and what was got; `hint` says what to do. */
export class HeedError extends Error {
  override readonly name = 'HeedError';
  /** What to do about it; undefined if there is nothing to add. */
  readonly hint: string | undefined;

  constructor(message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.hint = options.hint;
  }
}

/** The error with other words: of the same class, so that a DeviceMemoryError stays one, and with the same fields. */
export function reworded(error: HeedError, message: string, options: { hint?: string; cause?: unknown }): HeedError {
  const other = new HeedError(message, options);
  Object.setPrototypeOf(other, Object.getPrototypeOf(error));
  return Object.assign(other, { ...error, hint: options.hint });
}

/** The message of anything thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The message of anything thrown, with those of its causes: `fetch failed: other side closed`. */
export function messageWithCauses(error: unknown): string {
  const text = messageOf(error) || String((error as { code?: unknown } | null)?.code ?? (error as Error | null)?.name);
  if (!(error instanceof Error) || error.cause === undefined) return text;
  const cause = messageWithCauses(error.cause);
  return text.includes(cause) ? text : `${text}: ${cause}`;
}

/** A call to code or a server outside this project failed. What called it is as it was before, and can go on later. */
export class CallError extends HeedError {}

/** An error on its way from one thread to another. */
export interface CarriedError {
  message: string;
  hint?: string;
  stack?: string;
}

export const carried = (error: unknown): CarriedError => ({
  message: messageOf(error),
  hint: error instanceof HeedError ? error.hint : undefined,
  stack: error instanceof Error ? error.stack : undefined,
});

export const revived = ({ message, hint, stack }: CarriedError): HeedError =>
  new HeedError(message, { hint, cause: Object.assign(new Error(message), { stack }) });
