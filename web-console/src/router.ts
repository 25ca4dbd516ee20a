/** The routes of all features. Which right a route needs stands in its `meta`, as does its title. */
import { watch } from 'vue'
import { createRouter, createWebHistory, type RouteLocationNormalized, type RouteRecordRaw } from 'vue-router'
import { features } from './features'
import { i18n, text, type TextKey } from './i18n'
import type { Right } from './session/session'

declare module 'vue-router' {
  interface RouteMeta {
    /** Without it: for everybody who is signed in. */
    right?: Right
    /** The page's name in the browser's tab. */
    title?: string
  }
}

const own: RouteRecordRaw[] = [
  { path: '/', name: 'home', component: () => import('./shell/Home.vue') },
  { path: '/:path(.*)*', name: 'not-found', component: () => import('./shell/NotFound.vue') },
]

export const router = createRouter({
  history: createWebHistory(),
  routes: [...features.flatMap((feature) => feature.routes), ...own],
  scrollBehavior: (to, from, saved) => saved ?? (to.path === from.path ? false : { top: 0 }),
})

function nameTab({ meta }: RouteLocationNormalized): void {
  document.title = meta.title ? `${text(meta.title as TextKey)} · codex-k8s` : 'codex-k8s'
}
watch(i18n.global.locale, () => nameTab(router.currentRoute.value))

router.afterEach((to, from) => {
  nameTab(to)
  // Another page: the keyboard begins at its top. A filter only changes the query and leaves the focus alone.
  if (to.path !== from.path && from.matched.length > 0) {
    requestAnimationFrame(() => document.getElementById('main')?.focus({ preventScroll: true }))
  }
})
