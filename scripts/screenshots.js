/**
 * Pictures of the studio's pages for docs/images: npm run build, then node scripts/screenshots.js [FOLDER] [--all] [--only=PAGE,PAGE]
 * With --all each page dark and as a phone shows it, light and dark, as well, to be looked at; and twelve of them in all
 * four looks in one picture, studio-looks.webp.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStudioChat } from '../dist/cli/people/studio-model.js';
import {
  addItems,
  addPerson,
  assignItems,
  createProject,
  findProject,
  joinProjects,
  openDatabase,
  recordJudgment,
  startStudio,
} from '../dist/feedback/index.js';
import { launchBrowser } from './open-room.js';
import { fillRuns } from './screenshot-runs.js';

const all = process.argv.includes('--all');
/** Pages to take, by name; all if none is named. */
const only = /^--only=(.*)$/.exec(process.argv.find((given) => given.startsWith('--only=')) ?? '')?.[1].split(',');
const into = process.argv.slice(2).find((given) => !given.startsWith('--')) ?? 'docs/images';
const text = (text) => ({ kind: 'text', text });
/** Prompts with three answers each. */
const asked = [
  [
    'How do I keep basil alive on a windowsill?',
    '**Light first.** Six hours of sun, then:\n\n1. Water when the top centimeter is dry\n2. Pinch the tops so that it grows wide\n3. Turn the pot each day',
    'Put it in the sun and water it a lot.',
    'It likes warmth, light, and well-drained soil. *Never* let it stand in water.',
  ],
  [
    'Explain to a child of eight why the sky is blue.',
    'Sunlight has all colors in it. Air throws the blue ones about the most, so blue comes from everywhere.',
    'Because of Rayleigh scattering, whose strength goes with the inverse fourth power of the wavelength.',
    'It mirrors the sea.',
  ],
  [
    'How do I reverse a list in Python?',
    '`list.reverse()` turns it around in place; `items[::-1]` gives a new one.',
    'Write a loop:\n\n```\nout = []\nfor x in items:\n    out.insert(0, x)\n```',
    'Use `sorted(items)`.',
  ],
  [
    'Why does bread rise?',
    'Yeast eats sugar and breathes out gas, which the dough holds.',
    'Because it is hot.',
    'Magic.',
  ],
  [
    'How far away is the moon?',
    'About 384,400 km on average; it comes as near as 357,000 km.',
    'Very far.',
    'About 150 million km.',
  ],
  [
    'What can I cook with rice and two eggs?',
    'Fried rice: yesterday’s rice, eggs stirred in at the end, soy sauce.',
    'An omelette.',
    'Order a pizza.',
  ],
];

/** A store as it looks after some days of work. */
async function fill(database) {
  const aspects = [
    { name: 'helpful', description: 'does it do what was asked?' },
    { name: 'honest', description: 'is it true, and does it say what it does not know?' },
  ];
  const guidelines =
    '# What makes an answer good\n\n- It **answers** what was asked\n- It is true\n- It is as short as it can be';
  const make = async (name, settings, count, topic) => {
    const project = await createProject(database, name, { goldShare: 0, ...settings }, { guidelines });
    const items = asked.map(([prompt, ...answers], i) => ({
      content: { prompt, options: answers.slice(0, count).map(text) },
      topic: topic?.[i % topic.length],
      source: i % 3 === 0 ? 'forum' : 'written for this',
      metadata: {
        models: [
          ['ppo-3', 'sft-1', 'base'],
          ['dpo-2', 'ppo-3', 'base'],
          ['ppo-3', 'base', 'sft-1'],
        ][i % 3].slice(0, count),
      },
    }));
    await addItems(database, project, items);
    return project;
  };
  const pairs = await make('helpful answers', { overlap: 3, strength: true, better: true, pay: 20 }, 2, [
    'garden',
    'code',
    'home',
  ]);
  await make('order of three', { kind: 'ranking' }, 3);
  await make('how good is it', { kind: 'rating', aspects }, 1);
  await make('fit to show', { kind: 'binary' }, 1);
  await make('set it right', { kind: 'correction' }, 1);
  await make('how would you say it', { kind: 'demonstration' }, 0);
  for (const [n, name] of ['ada', 'ben', 'chi'].entries()) {
    const { person } = await addPerson(database, name, n === 0 ? 'reviewer' : 'annotator');
    if (n > 0) await joinProjects(database, person, [pairs.name]);
    let now = Date.now() - 3_600_000;
    for (let i = 0; i < 5; i++) {
      const [{ item, shown }] = await assignItems(database, pairs, person.id, { now });
      const duration = 4000 + 900 * i * (n + 1);
      now += duration + 500;
      const choice = i % 3 === 0 && n === 2 ? 'second' : 'first';
      const judgment = { kind: 'pair', choice, strength: 2, ...(choice === 'second' && { reason: 'It is shorter.' }) };
      await recordJudgment(
        database,
        pairs,
        person.id,
        { id: `${name} ${i}`, item: item.id, judgment, shown, duration },
        now,
      );
    }
  }
}

/** What is on the page of one's own work. */
async function judgeSome(database, person) {
  const project = await findProject(database, 'how would you say it');
  const judgments = [
    { kind: 'demonstration', text: 'Light first: six hours of sun a day.' },
    { kind: 'skip', reason: 'I do not know enough to tell' },
  ];
  for (const [i, judgment] of judgments.entries()) {
    const [{ item, shown }] = await assignItems(database, project, person.id);
    await recordJudgment(database, project, person.id, {
      id: `you ${i}`,
      item: item.id,
      judgment,
      shown,
      duration: 9000,
    });
  }
}

const pages = [
  ['projects', ''],
  ['label', 'label/helpful answers'],
  ['rank', 'label/order of three'],
  ['rate', 'label/how good is it'],
  ['good-bad', 'label/fit to show'],
  ['correct', 'label/set it right'],
  ['write', 'label/how would you say it'],
  ['project', 'project/helpful answers'],
  ['items', 'items/helpful answers'],
  ['models', 'models/helpful answers'],
  ['settings', 'settings/helpful answers'],
  ['my-work', 'mine/how would you say it'],
  ['new-project', 'new'],
  ['agreement', 'quality/helpful answers'],
  ['decide', 'decide/helpful answers'],
  ['people', 'people'],
  ['activity', 'activity'],
  ['runs', 'runs'],
  ['run', 'runs/ppo-kl-0.05,ppo-kl-0.2?smooth=0.9'],
  ['histograms', 'runs/ppo-kl-0.05,ppo-kl-0.2?part=histograms'],
  ['samples', 'runs/ppo-kl-0.05?part=samples'],
  ['clips', 'runs/cartpole-from-clips?part=samples&sample=20'],
];
const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const looks = [
  ['light', { viewport: { width: 1280, height: 720 } }],
  ['dark', { viewport: { width: 1280, height: 720 }, colorScheme: 'dark' }],
  ['phone', phone],
  ...(all ? [['phone-dark', { ...phone, colorScheme: 'dark' }]] : []),
];

/** Whether a page of the docs shows this one. */
const isInDocs = (name, look) =>
  look === 'light' ? !['projects', 'new-project'].includes(name) : look === 'phone' && name === 'label';

/** What stays at the bottom of the window would lie in the middle of a picture of the whole page. */
const inWindow = new Set(['label', 'good-bad', 'rank']);

/** Pages that studio-looks.webp shows. */
const SHEET = [
  'label',
  'rank',
  'good-bad',
  'rate',
  'project',
  'items',
  'agreement',
  'models',
  'decide',
  'runs',
  'run',
  'chat',
];

/** A table of pages, each in all looks. */
async function sheet(browser) {
  const suffixes = looks.map(([look]) => (look === 'light' ? '' : `-${look}`));
  const image = (name, suffix) => {
    const data = readFileSync(join(into, `studio-${name}${suffix}.png`)).toString('base64');
    return `<img src="data:image/png;base64,${data}" style="width: ${suffix.includes('phone') ? 130 : 340}px">`;
  };
  const rows = SHEET.map((name) => `<div>${suffixes.map((suffix) => image(name, suffix)).join('')}</div>`);
  const page = await browser.newPage({ viewport: { width: 1960, height: 800 } });
  const style = 'img { height: 192px; object-fit: cover; object-position: top left } div { display: flex; gap: 6px }';
  await page.setContent(
    `<style>${style} body { margin: 6px; display: grid; grid-template-columns: 1fr 1fr; gap: 10px; background: #8a8780 }</style>${rows.join('')}`,
  );
  const png = (await page.screenshot({ fullPage: true })).toString('base64');
  const webp = await page.evaluate(async (png) => {
    const image = new Image();
    image.src = `data:image/png;base64,${png}`;
    await image.decode();
    const canvas = Object.assign(document.createElement('canvas'), { width: image.width, height: image.height });
    canvas.getContext('2d').drawImage(image, 0, 0);
    return canvas.toDataURL('image/webp', 0.6).split(',')[1];
  }, png);
  writeFileSync(join(into, 'studio-looks.webp'), webp, 'base64');
}

const picture = (page, name, look) =>
  page.screenshot({
    fullPage: !inWindow.has(name),
    path: join(into, `studio-${name}${look === 'light' ? '' : `-${look}`}.png`),
  });

/** Panels are drawn when they come into view. */
async function seeAll(page) {
  for (const panel of await page.locator('.panel').all()) {
    await panel.scrollIntoViewIfNeeded();
    await page.waitForTimeout(250);
  }
  await page.evaluate('scrollTo(0, 0)');
}

/** The two answers to a message. */
async function talk(page) {
  await page.goto(`${studio.url}/#/chat`);
  await page.getByRole('button', { name: 'Start' }).click();
  await page.getByLabel(/Your first message/).fill('we went to the restaurant .');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: /(Left|Above) is better/ }).waitFor();
}

const folder = mkdtempSync(join(tmpdir(), 'heed-screenshots-'));
const database = await openDatabase(join(folder, 'feedback.db'));
await fill(database);
const { token, person: you } = await addPerson(database, 'you', 'owner');
await judgeSome(database, you);
const running = fillRuns(join(folder, 'runs'));
const chat = await openStudioChat('models/reviews-base', { maxTokens: 40 });
const studio = await startStudio({ database, runs: join(folder, 'runs'), chat });
const browser = await launchBrowser();
mkdirSync(into, { recursive: true });
try {
  for (const [look, options] of looks) {
    const page = await (await browser.newContext(options)).newPage();
    await page.goto(`${studio.url}/#token=${token}`);
    await page.getByRole('heading', { level: 1 }).waitFor();
    for (const [name, path] of pages.filter(
      ([name]) => (all || isInDocs(name, look)) && (only?.includes(name) ?? true),
    )) {
      await page.goto(`${studio.url}/#/${path}`);
      await page.getByRole('heading', { level: 1 }).waitFor();
      while ((await page.getByText('Loading…').count()) > 0) await page.waitForTimeout(50);
      await page.waitForTimeout(400);
      if (inWindow.has(name)) await page.getByRole('button', { name: 'Begin' }).click();
      if (name === 'run') await seeAll(page);
      await picture(page, name, look);
    }
    if ((all || look === 'light') && (only?.includes('chat') ?? true)) {
      await talk(page);
      await picture(page, 'chat', look);
    }
    await page.context().close();
  }
  if (all && !only) await sheet(browser);
} finally {
  await browser.close();
  await studio.close();
  running.close();
  chat[Symbol.dispose]();
  await database.close();
  rmSync(folder, { recursive: true, force: true });
}
