import './app.css'
import { addIcon } from '@iconify/vue'
import { QueryClient, VueQueryPlugin } from '@tanstack/vue-query'
import { createPinia } from 'pinia'
import { init as initIcons } from 'virtual:nuxt-ui-icons'
import { createApp } from 'vue'
import { asProblem } from './api/problem'
import App from './App.vue'
import { i18n } from './i18n'
import { router } from './router'
import { useSession } from './session/session'
import { listenForShortcuts } from './shell/shortcuts'

const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      // What changes is told live, also what changed while nobody looked.
      refetchOnWindowFocus: false,
      // What passes by itself is asked again, a few times and ever slower.
      retry: (failures, error) => failures < 3 && asProblem(error).isPassing,
      retryDelay: (failures, error) =>
        Math.max((asProblem(error).retryAfterS ?? 0) * 1_000, Math.min(10_000, 500 * 2 ** failures) * (0.5 + Math.random())),
    },
    mutations: { retry: false },
  },
})

initIcons(addIcon)
listenForShortcuts()
const app = createApp(App)
app.use(createPinia())
app.use(i18n)
app.use(VueQueryPlugin, { queryClient })
app.use(router)
void useSession().start()
app.mount('#app')
