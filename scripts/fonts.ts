/** Vite plugins for the fonts that the studio and the site bring. */
import { readFileSync } from 'node:fs';
import type { Plugin } from 'vite';

/** KaTeX offers each font in three formats; every browser that shows the page reads the first, and only that is shipped. */
export const oneFormat: Plugin = {
  name: 'one-format-of-fonts',
  enforce: 'pre',
  transform: (code, id) =>
    id.includes('katex.min.css') ? code.replace(/,url\([^)]*\.(?:woff|ttf)\) format\("\w+"\)/g, '') : undefined,
};

/** The fonts' licenses, which have to go with them. */
export const fontLicenses: Plugin = {
  name: 'licenses-of-fonts',
  generateBundle() {
    for (const font of ['inter', 'jetbrains-mono', 'source-serif-4']) {
      const source = readFileSync(new URL(`../node_modules/@fontsource-variable/${font}/LICENSE`, import.meta.url));
      this.emitFile({ type: 'asset', fileName: `license-of-${font}.txt`, source });
    }
  },
};
