/** The site: the docs, the course and the API, built by VitePress into site/dist. */
import { join } from 'node:path';
import { defineConfig } from 'vitepress';
import { fontLicenses, oneFormat } from '../../scripts/fonts.ts';
import { finish } from './finish.ts';
import { showOutputs } from './notebook.ts';
import {
  drawFormulas,
  excluded,
  highlightOnce,
  keepBraces,
  lessons,
  pageOf,
  root,
  sidebarOf,
  slug,
  turnLinks,
} from './pages.ts';

const course = [
  {
    text: 'Course',
    items: [
      { text: 'Overview', link: '/course/' },
      ...lessons().map(({ number, title, link }) => ({ text: `${number} · ${title}`, link })),
      { text: 'Notebook', link: '/course/notebook' },
    ],
  },
];

export default defineConfig({
  lang: 'en-US',
  title: 'heed',
  description: 'Learn from human feedback: reinforcement learning from preferences, whole, in TypeScript',
  srcDir: '..',
  srcExclude: excluded,
  rewrites: pageOf,
  outDir: './dist',
  metaChunk: true,
  appearance: true,
  transformHead: ({ siteData }) => [
    ['link', { rel: 'icon', type: 'image/svg+xml', href: `${siteData.base}favicon.svg` }],
  ],
  markdown: {
    anchor: { slugify: slug },
    image: { lazyLoading: true },
    config(markdown) {
      turnLinks(markdown);
      showOutputs(markdown);
      keepBraces(markdown);
      drawFormulas(markdown);
      highlightOnce(markdown);
    },
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
  },
  vue: { template: { compilerOptions: { isCustomElement: (tag) => tag.startsWith('heed-') } } },
  vite: {
    plugins: [
      oneFormat,
      fontLicenses,
      {
        name: 'heed-elements-in-browsers-only', // pages drawn while building need neither them nor the library in them
        enforce: 'pre',
        load: (id, options) => (options?.ssr && /\/site\/elements\/(elements|offline)\.ts$/.test(id) ? '' : undefined),
      },
    ],
    publicDir: join(root, 'site', 'public'),
    resolve: {
      alias: [
        { find: /^heed\/align\/parts$/, replacement: join(root, 'src', 'align', 'parts.ts') },
        { find: /^heed\/([a-z]+)$/, replacement: join(root, 'src', '$1', 'index.ts') },
      ],
    },
    // found at once: what Vite finds later reloads the page of whoever writes
    optimizeDeps: {
      esbuildOptions: { target: 'es2022' }, // ONNX Runtime's module awaits at its top
      include: [
        '@codemirror/commands',
        '@codemirror/lang-javascript',
        '@codemirror/language',
        '@codemirror/state',
        '@codemirror/view',
        '@lezer/highlight',
        'sucrase',
      ],
    },
    worker: { format: 'es' },
    build: { target: 'es2022', chunkSizeWarningLimit: 4096 },
  },
  transformPageData(page) {
    if (!/^course\/\d/.test(page.relativePath)) return;
    page.frontmatter.aside = false; // room for the editor
    page.frontmatter.pageClass = 'lesson';
  },
  buildEnd: finish,
  themeConfig: {
    search: { provider: 'local', options: { detailedView: true } },
    outline: { level: [2, 3], label: 'On this page' },
    docFooter: { prev: 'Previous', next: 'Next' },
    externalLinkIcon: false,
    nav: [
      { text: 'Start', link: '/' },
      { text: 'Tutorials', link: '/tutorials/', activeMatch: '^/tutorials/' },
      { text: 'How-to', link: '/how-to/', activeMatch: '^/how-to/' },
      {
        text: 'Reference',
        activeMatch: '^/reference/',
        items: [
          { text: 'All of it', link: '/reference/' },
          { text: 'Commands', link: '/reference/commands' },
          { text: 'Data', link: '/reference/data' },
          { text: 'Library', link: '/reference/library' },
          { text: 'API', link: '/api/index.html', target: '_self' },
        ],
      },
      { text: 'Explanation', link: '/explanation/', activeMatch: '^/explanation/(?!results)' },
      { text: 'Results', link: '/explanation/results' },
      { text: 'Course', link: '/course/', activeMatch: '^/course/' },
      { text: 'Glossary', link: '/glossary' },
    ],
    sidebar: {
      '/tutorials/': sidebarOf('docs/tutorials', 'Tutorials'),
      '/how-to/': sidebarOf('docs/how-to', 'How-to guides'),
      '/reference/': [
        ...sidebarOf('docs/reference', 'Reference'),
        {
          text: 'More',
          items: [
            { text: 'API', link: '/api/index.html', target: '_self' },
            { text: 'Glossary', link: '/glossary' },
          ],
        },
      ],
      '/explanation/': sidebarOf('docs/explanation', 'Explanation'),
      // no other page lists these: pages link to the one that they rest on
      '/lab/': sidebarOf('docs/lab', 'Lab notes'),
      '/course/': course,
    },
  },
});
