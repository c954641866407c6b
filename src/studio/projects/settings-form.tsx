/** A form of the settings of a project, made from their schema. */
import type { ProjectSettings } from '../page/api.ts';

interface Field {
  type?: 'boolean' | 'integer' | 'number' | 'array';
  enum?: string[];
  minimum?: number;
  maximum?: number;
  default?: unknown;
  description?: string;
}
export interface SettingsSchema {
  properties: Record<keyof ProjectSettings, Field>;
  /** What each kind of project can be exported as. */
  formats: Record<ProjectSettings['kind'], string[]>;
}

const OF_PAIRS = ['tie', 'bothBad', 'unknown', 'strength', 'better'];

export const usualSettings = ({ properties }: SettingsSchema): ProjectSettings =>
  Object.fromEntries(
    Object.entries(properties).flatMap(([name, field]) => ('default' in field ? [[name, field.default]] : [])),
  ) as unknown as ProjectSettings;

export function SettingsForm({
  schema,
  settings,
  change,
  isNew = false,
}: {
  schema: SettingsSchema;
  settings: ProjectSettings;
  change(settings: ProjectSettings): void;
  isNew?: boolean;
}) {
  const set = (name: string, value: unknown) => change({ ...settings, [name]: value });
  const shown = Object.entries(schema.properties).filter(
    ([name]) =>
      (name !== 'kind' || isNew) && name !== 'aspects' && (settings.kind === 'pair' || !OF_PAIRS.includes(name)),
  );
  return (
    <div class="settings">
      {shown.map(([name, field]) => (
        <Entry
          field={field}
          value={settings[name as keyof ProjectSettings]}
          set={(value: unknown) => set(name, value)}
        />
      ))}
      <Aspects aspects={settings.aspects} set={(aspects) => set('aspects', aspects)} />
    </div>
  );
}

function Entry({ field, value, set }: { field: Field; value: unknown; set(value: unknown): void }) {
  const text = `${field.description?.[0].toUpperCase()}${field.description?.slice(1)}`;
  if (field.type === 'boolean') {
    return (
      <label class="tick">
        <input type="checkbox" checked={value === true} onChange={(event) => set(event.currentTarget.checked)} />
        {text}
      </label>
    );
  }
  if (field.enum) {
    return (
      <label>
        {text}
        <select value={String(value)} onChange={(event) => set(event.currentTarget.value)}>
          {field.enum.map((one) => (
            <option value={one}>{one}</option>
          ))}
        </select>
      </label>
    );
  }
  return (
    <label>
      {text}
      <input
        type="number"
        min={field.minimum}
        max={field.maximum}
        step={field.type === 'integer' ? 1 : 'any'}
        value={value === undefined ? '' : String(value)}
        placeholder={field.default === undefined ? 'no limit' : undefined}
        onInput={({ currentTarget: { valueAsNumber } }) =>
          set(Number.isNaN(valueAsNumber) ? field.default : valueAsNumber)
        }
      />
    </label>
  );
}

type Aspect = ProjectSettings['aspects'][number];

function Aspects({ aspects, set }: { aspects: readonly Aspect[]; set(aspects: Aspect[]): void }) {
  const put = (at: number, change: Partial<Aspect>) =>
    set(aspects.map((one, i) => (i === at ? { ...one, ...change } : one)));
  return (
    <fieldset class="aspects">
      <legend>Aspects that are rated besides, or in a rating</legend>
      {aspects.map(({ name, description, scale }, i) => (
        <div class="row">
          <label>
            Name
            <input value={name} required onInput={(event) => put(i, { name: event.currentTarget.value })} />
          </label>
          <label>
            What it means
            <input value={description} onInput={(event) => put(i, { description: event.currentTarget.value })} />
          </label>
          <label>
            Up to
            <input
              type="number"
              min={2}
              max={100}
              value={scale}
              onInput={({ currentTarget: { valueAsNumber } }) => valueAsNumber >= 2 && put(i, { scale: valueAsNumber })}
            />
          </label>
          <button type="button" onClick={() => set(aspects.filter((_, j) => j !== i))}>
            Remove
          </button>
        </div>
      ))}
      <button type="button" onClick={() => set([...aspects, { name: '', description: '', scale: 5 }])}>
        Add an aspect
      </button>
    </fieldset>
  );
}
