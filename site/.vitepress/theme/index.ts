/** VitePress's own theme without its fonts, in heed's colors, with heed's elements. */
import type { Theme } from 'vitepress';
import DefaultTheme from 'vitepress/theme-without-fonts';
import { defineComponent, h, onMounted } from 'vue';
import 'katex/dist/katex.min.css';
import './style.css';

export default {
  extends: DefaultTheme,
  Layout: defineComponent({
    setup() {
      // after Vue has taken over the page: it would remove what an element adds to itself before
      onMounted(async () => {
        await import('../../elements/elements.ts');
        if (import.meta.env.PROD) (await import('../../elements/offline.ts')).keepOffline(import.meta.env.BASE_URL);
      });
      return () => h(DefaultTheme.Layout);
    },
  }),
} satisfies Theme;
