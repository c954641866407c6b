/** How deep data is nested: recursive code needs a limit, since a file can nest lists until the stack is full. */

/** No data is this deep; JSON.stringify fails at some thousands. */
export const DEEPEST = 100;

/** Whether lists and objects are nested in more than `levels` levels. */
export function isDeeper(value: unknown, levels: number = DEEPEST): boolean {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}
