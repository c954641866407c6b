import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { embeddedModel } from './embedded.ts';
import { createModel, loadModel, saveModel } from './model.ts';

const fixture = (name: string) => fileURLToPath(new URL(`../../test/fixtures/models/${name}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'heed-model-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const copy = (name: string, change: (path: string) => void) => {
  const path = join(folder, name);
  cpSync(fixture('tiny-llama'), path, { recursive: true });
  change(path);
  return path;
};
const edit = (file: string, fields: object) => (path: string) => {
  const old = existsSync(join(path, file)) ? JSON.parse(readFileSync(join(path, file), 'utf8')) : {};
  writeFileSync(join(path, file), JSON.stringify({ ...old, ...fields }));
};

it.each(['tiny-llama', 'tiny-gpt2', 'tiny-qwen2'])('%s comes back as it was saved', async (name) => {
  const model = await loadModel(fixture(name));
  const saved = join(folder, `saved-${name}`);
  saveModel(saved, model);
  const again = await loadModel(saved);
  expect(again.parameters.flat).toEqual(model.parameters.flat);
  const { folder: _, parameters: __, tokenizer, ...rest } = model;
  expect(again).toMatchObject(rest);
  expect(again.tokenizer.files).toEqual(tokenizer.files);
  for (const { parameters } of [model, again]) parameters[Symbol.dispose]();
});

it('an adapter is its base model, changed', async () => {
  const [base, adapted] = await Promise.all([loadModel(fixture('tiny-llama')), loadModel(fixture('tiny-llama-lora'))]);
  expect(adapted.config).toEqual(base.config);
  expect(adapted.parameters.flat).not.toEqual(base.parameters.flat);
  for (const { parameters } of [base, adapted]) parameters[Symbol.dispose]();
  const lost = join(folder, 'lost');
  cpSync(fixture('tiny-llama-lora'), lost, { recursive: true });
  edit('adapter_config.json', { base_model_name_or_path: null })(lost);
  await expect(loadModel(lost)).rejects.toThrow(/does not name its base model/);
});

it('an adapter whose tokenizer has more tokens than its base says so', async () => {
  const adapterOf = (name: string, tokens: number) => {
    const path = join(folder, name);
    cpSync(fixture('tiny-llama-lora'), path, { recursive: true });
    edit('adapter_config.json', { base_model_name_or_path: fixture('tiny-llama') })(path);
    const tokenizer = JSON.parse(readFileSync(join(fixture('tiny-llama'), 'tokenizer.json'), 'utf8'));
    const added = Array.from({ length: tokens }, (_, i) => ({
      ...tokenizer.added_tokens[0],
      id: 512 + i,
      content: `<t${i}>`,
    }));
    tokenizer.added_tokens.push(...added);
    writeFileSync(join(path, 'tokenizer.json'), JSON.stringify(tokenizer));
    return path;
  };
  await expect(loadModel(adapterOf('more', 3))).rejects.toThrow(
    /tokenizer of the adapter .* is for 515 tokens, .* has 512/,
  );
  const padded = join(folder, 'padded');
  const base = await loadModel(fixture('tiny-llama'));
  const wide = createModel({ ...base.config, vocabularySize: 520 }, base.tokenizer, 0);
  saveModel(padded, wide);
  const adapter = adapterOf('padding', 3);
  edit('adapter_config.json', { base_model_name_or_path: padded })(adapter);
  const notices: string[] = [];
  const model = await loadModel(adapter, { onNotice: (text) => notices.push(text) });
  expect(notices).toEqual([expect.stringContaining("has 3 tokens that the base model's lacks")]);
  for (const { parameters } of [base, wide, model]) parameters[Symbol.dispose]();
});

describe('an answer ends', () => {
  it.each<[string, (path: string) => void, number[]]>([
    ['as generation_config.json says', edit('generation_config.json', { eos_token_id: [2, 7] }), [2, 7]],
    ['at the EOS of the tokenizer too', edit('generation_config.json', { eos_token_id: 9 }), [9, 2]],
    [
      'as config.json says, where there is no other',
      (path) => {
        rmSync(join(path, 'generation_config.json'));
        edit('config.json', { eos_token_id: [5, 2] })(path);
      },
      [5, 2],
    ],
  ])('%s', async (name, change, ends) => {
    const { ends: found, parameters } = await loadModel(copy(name.slice(0, 8), change));
    expect(found).toEqual(ends);
    parameters[Symbol.dispose]();
  });
});

it('says what does not fit together', async () => {
  const broken = copy('broken', (path) => writeFileSync(join(path, 'generation_config.json'), '[1'));
  await expect(loadModel(broken)).rejects.toThrow(/generation_config.json" is not a JSON object/);
  const { config, tokenizer, parameters } = await loadModel(fixture('tiny-llama'));
  expect(() => createModel({ ...config, vocabularySize: 100 }, tokenizer, 0)).toThrow(/has 512 tokens, .* has 100/);
  parameters[Symbol.dispose]();
});

it('makes new models from a seed, which are saved whole', async () => {
  const { config, tokenizer, parameters } = await loadModel(fixture('tiny-llama'));
  const [one, same, other] = [1, 1, 2].map((seed) => createModel({ ...config, layers: 1 }, tokenizer, seed));
  expect(same.parameters.flat).toEqual(one.parameters.flat);
  expect(other.parameters.flat).not.toEqual(one.parameters.flat);
  saveModel(join(folder, 'new'), one);
  const again = await loadModel(join(folder, 'new'));
  expect(again.parameters.flat).toEqual(one.parameters.flat);
  expect(again).toMatchObject({ architecture: 'LlamaForCausalLM', ends: [2], config: one.config });
  for (const arena of [parameters, one.parameters, same.parameters, other.parameters, again.parameters])
    arena[Symbol.dispose]();
});

it('knows the embedded model by its name', async () => {
  const { tokenizer, parameters, config } = await loadModel(embeddedModel);
  expect(tokenizer.vocabularySize).toBe(config.vocabularySize);
  expect(tokenizer.decode(tokenizer.encode('the spa was brilliant .'))).toBe('the spa was brilliant .');
  parameters[Symbol.dispose]();
});

it('ends a completion where its chat template ends a turn, and says so when it is saved', async () => {
  // like a base model: its end of text is not what the template writes after a turn
  const ofBase = (path: string) => {
    cpSync(fixture('tiny-qwen2'), path, { recursive: true });
    for (const file of ['config.json', 'generation_config.json']) edit(file, { eos_token_id: 3 })(path);
    edit('tokenizer_config.json', { eos_token: '<|pad|>' })(path);
  };
  const path = join(folder, 'base');
  ofBase(path);
  const saved = join(folder, 'base-saved');
  const notices: string[] = [];
  const model = await loadModel(path, { onNotice: (text) => notices.push(text) });
  const { ends, tokenizer } = model;
  expect(notices).toEqual([
    expect.stringMatching(/ends the assistant's turn with "<\|im_end\|>" \(\d+\), .*lacks \(3\)/),
  ]);
  expect(ends.map(tokenizer.tokenOf)).toEqual(['<|pad|>', '<|im_end|>']);
  saveModel(saved, model);
  expect(JSON.parse(readFileSync(join(saved, 'generation_config.json'), 'utf8')).eos_token_id).toEqual(ends);
  const again = await loadModel(saved, { onNotice: (text) => notices.push(text) });
  expect(notices).toHaveLength(1);
  expect([again.ends, again.tokenizer.endTokens]).toEqual([ends, ['<|pad|>', '<|im_end|>']]);
  for (const { parameters } of [model, again]) parameters[Symbol.dispose]();
});
