/** What this browser keeps of a reader's work. Where it keeps nothing, the course works for as long as the page is open. */
const memory = new Map<string, string>();

function read(key: string): string | undefined {
  try {
    return localStorage.getItem(key) ?? undefined;
  } catch {
    return memory.get(key);
  }
}

function write(key: string, value: string | undefined): void {
  try {
    if (value === undefined) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    if (value === undefined) memory.delete(key);
    else memory.set(key, value);
  }
}

/** The reader's code for a lesson; undefined before the first change. */
export const code = (lesson: string): string | undefined => read(`heed/course/${lesson}/code`);

/** Keeps the reader's code; undefined forgets it. */
export const keepCode = (lesson: string, text: string | undefined): void => write(`heed/course/${lesson}/code`, text);

/** Whether the reader's code has passed all checks of a lesson once. */
export const passed = (lesson: string): boolean => read(`heed/course/${lesson}/passed`) === 'yes';

/** Notes that the reader's code passes. */
export const keepPassed = (lesson: string): void => write(`heed/course/${lesson}/passed`, 'yes');
