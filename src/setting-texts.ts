/** The values in nested settings, as texts by their paths, such as `lora.rank`. */
export function settingTexts(value: unknown, name = ''): [name: string, value: string][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [[name, typeof value === 'string' ? value : (JSON.stringify(value) ?? '')]];
  }
  return Object.entries(value).flatMap(([key, inner]) => settingTexts(inner, name ? `${name}.${key}` : key));
}
