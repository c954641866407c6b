/** The value of JSON; undefined if it is none. */
export function parsedJson(json: string, parse: (json: string) => unknown = JSON.parse): unknown {
  try {
    return parse(json);
  } catch {
    return undefined;
  }
}
