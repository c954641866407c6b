/** What an editor shows over an option of the compiled package: its description, and its default. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, inject, it } from 'vitest';

/** The text that an editor shows over the last `word` of a program that is written against the package. */
function hovering(source: string): (word: string) => string {
  const file = join(inject('compiled'), 'hover.ts');
  writeFileSync(file, source);
  const service = ts.createLanguageService({
    getScriptFileNames: () => [file],
    getScriptVersion: () => '1',
    getScriptSnapshot: (name) =>
      ts.sys.fileExists(name) ? ts.ScriptSnapshot.fromString(readFileSync(name, 'utf8')) : undefined,
    getCurrentDirectory: () => inject('compiled'),
    getCompilationSettings: () => ({
      target: ts.ScriptTarget.ES2023,
      lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      strict: true,
      skipLibCheck: true,
      types: [],
    }),
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    fileExists: ts.sys.fileExists,
    readFile: ts.sys.readFile,
    readDirectory: ts.sys.readDirectory,
    directoryExists: ts.sys.directoryExists,
    getDirectories: ts.sys.getDirectories,
  });
  return (word) =>
    ts.displayPartsToString(service.getQuickInfoAtPosition(file, source.lastIndexOf(`${word}:`))?.documentation);
}

it('options say what they mean, nested ones and widened ones too', () => {
  const over = hovering(`
import { dpo, ppo } from 'heed/align';
import { learnFromPreferences } from 'heed/control';
dpo({ model: 'x', beta: 0.2, loss: 'ipo', lora: { rank: 4 } });
ppo({ model: 'x', data: 'y', maxTokens: 8, kl: { target: 3 } });
learnFromPreferences({ labels: 10, segment: { anchored: 0.5 } });
`);
  expect(over('beta')).toMatch(/Default: 0\.1\./);
  expect(over('maxTokens')).toMatch(/tokens/i);
  for (const word of ['model', 'loss', 'rank', 'target', 'labels', 'anchored']) expect(over(word), word).not.toBe('');
});
