/** The embedded language model in a page: its files are fetched when it is asked for. */
import { putFiles, startEngine } from 'heed/browser';
import { loadModel, type Model } from 'heed/lm';

const files = import.meta.glob<string>(
  '../../models/reviews-base/{config,generation_config,tokenizer,tokenizer_config}.json',
  { query: '?url', import: 'default', eager: true },
);
const weights = import.meta.glob<string>('../../models/reviews-base/model.safetensors', {
  query: '?url',
  import: 'default',
  eager: true,
});

/** Starts the engine and loads the model. Its memory ends with the worker. */
export async function loadEmbeddedModel(): Promise<Model> {
  await startEngine();
  const fetched = Object.entries({ ...files, ...weights }).map(async ([path, url]) => {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url} is not there: status ${response.status}`);
    return [path.slice(path.lastIndexOf('/') + 1), await response.arrayBuffer()] as const;
  });
  putFiles('/model', Object.fromEntries(await Promise.all(fetched)));
  return loadModel('/model');
}
