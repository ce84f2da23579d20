defmodule RunsTest do
  @moduledoc "Deploys under way: how they are listed, wait for one another, are planned, and broken off."
  use Harness.Case

  @moduletag :machine

  alias Otturnaut.Deployment
  alias Otturnaut.Deployment.Strategy

  # It never answers in the time of a test.
  @slow %{"PAGE" => "slow", "DELAY" => "100"}

  defp runs(node, app), do: for(%{app_id: ^app} = run <- call(node, Deployment, :list, []), do: run)
  defp cancel(node, id), do: call(node, Deployment, :cancel, [id])
  defp page(caddy, app), do: Caddy.page(caddy, "#{app}.localhost")

  # Begins a deploy and waits until it is at a step.
  defp begin!(node, app, attrs, step, opts \\ []) do
    d = deployment(node, app, attrs)
    {me, id} = {self(), d.id}
    task = Task.async(fn -> execute(node, d, [subscriber: me] ++ opts) end)
    assert_receive {:deployment_progress, %{step: ^step, deployment_id: ^id}}, 30_000
    {d, task}
  end

  # What a deploy must leave alone.
  defp machine(%{node: node, caddy: caddy}, app) do
    %{
      containers:
        for(%{"Id" => id, "State" => state} <- Engine.containers(Engine.docker(), app), do: {id, state}),
      routes: Caddy.config(caddy),
      ports: Enum.sort(call(node, Otturnaut.PortManager, :list_allocated, [])),
      state: call(node, Otturnaut.AppState, :get, [app]),
      releases: call(node, Deployment, :releases, [app]),
      runs: runs(node, app)
    }
  end

  describe "list" do
    test "two deploys of one app: the second is queued and says so", %{node: node, caddy: caddy, app: app} do
      assert [] == runs(node, app)
      {%{id: first}, one} = begin!(node, app, %{env: %{"PAGE" => "one", "DELAY" => "6"}}, :health_check)
      {%{id: second}, two} = begin!(node, app, %{env: %{"PAGE" => "two"}}, :queued)

      assert [
               %{deployment_id: ^first, kind: :deploy, status: :running, step: :health_check, stuck: []},
               %{deployment_id: ^second, kind: :deploy, status: :queued, step: :queued, stuck: []}
             ] = listed = runs(node, app)

      for run <- listed, do: assert(abs(DateTime.diff(run.since, DateTime.utc_now())) < 60)
      assert [{:ok, %{id: ^first}}, {:ok, %{id: ^second}}] = Task.await_many([one, two], 60_000)
      assert [] == runs(node, app)

      told = for {:deployment_progress, %{deployment_id: ^second} = told} <- mailbox(), do: told.step
      assert :allocate_port in told
      refute :queued in told
      assert {:ok, 200, "two\n"} == page(caddy, app)
      assert :ok == undeploy(node, deployment(node, app))
    end

    test "rollbacks and undeploys are in it too", %{node: node, app: app} do
      for page <- ["one", "two"], do: assert({:ok, _} = deploy(node, app, %{env: %{"PAGE" => page}}))
      {d, deploying} = begin!(node, app, %{env: @slow}, :health_check)
      me = self()
      back = Task.async(fn -> call(node, Deployment, :rollback, [app, [subscriber: me]]) end)
      assert_receive {:deployment_progress, %{step: :queued}}, 30_000
      # Of a struct of its own: a cancel of `d` is to find the deploy alone.
      undeploying = Task.async(fn -> undeploy(node, deployment(node, app), subscriber: me) end)
      assert_receive {:undeploy_progress, %{step: :queued, message: message}}, 30_000
      assert message =~ "2 runs"

      assert [{:deploy, :running}, {:rollback, :queued}, {:undeploy, :queued}] ==
               for(run <- runs(node, app), do: {run.kind, run.status})

      assert :ok == cancel(node, d.id)
      assert {:error, :cancelled, _} = Task.await(deploying, 60_000)
      assert {:ok, %{env: %{"PAGE" => "one"}}} = Task.await(back, 60_000)
      assert :ok == Task.await(undeploying, 60_000)
      assert [] == runs(node, app)
    end
  end

  describe "cancel" do
    test "a deploy that waits for its version: it is undone", %{node: node, app: app} = context do
      {d, task} = begin!(node, app, %{env: @slow}, :health_check)
      assert :ok == cancel(node, d.id)
      # It answers when all is undone.
      assert_nothing_left(context, app)

      assert {:error, :cancelled, %Deployment{status: :failed, error: :cancelled} = answered} =
               Task.await(task, 60_000)

      assert answered.id == d.id
      assert {:error, :not_found} == cancel(node, d.id)
      assert [] == runs(node, app)
    end

    test "an old version goes on serving", %{node: node, caddy: caddy, app: app} = context do
      assert {:ok, _} = deploy(node, app)
      before = machine(context, app)
      load = Load.start(caddy, "#{app}.localhost")
      {d, task} = begin!(node, app, %{env: @slow}, :health_check)
      assert :ok == cancel(node, d.id)
      assert {:error, :cancelled, _} = Task.await(task, 60_000)
      assert %{failed: 0} = Load.stop(load)
      assert before == machine(context, app)
      assert :ok == undeploy(node, deployment(node, app))
    end

    test "one that is queued never begins", %{node: node, caddy: caddy, app: app} do
      {_, one} = begin!(node, app, %{env: %{"PAGE" => "one", "DELAY" => "4"}}, :health_check)
      {queued, two} = begin!(node, app, %{env: %{"PAGE" => "two"}}, :queued)
      assert :ok == cancel(node, queued.id)
      assert {:error, :cancelled, %{status: :failed}} = Task.await(two, 60_000)
      assert [%{status: :running}] = runs(node, app)
      assert {:ok, d} = Task.await(one, 60_000)
      assert {:ok, 200, "one\n"} == page(caddy, app)
      assert :ok == undeploy(node, d)
    end

    test "nobody that it could be", %{node: node, app: app} do
      assert {:error, :not_found} == cancel(node, "nope")
      assert {:ok, d} = deploy(node, app)
      assert {:error, :not_found} == cancel(node, d.id)
      assert :ok == undeploy(node, d)
    end

    test "once the new version has the requests it is too late", %{node: node, caddy: caddy, app: app} do
      # Deaf to SIGTERM, so that the end of the old version takes its time.
      assert {:ok, _} = deploy(node, app, %{env: %{"PAGE" => "one", "IGNORE_TERM" => "1"}})
      {d, task} = begin!(node, app, %{env: %{"PAGE" => "two"}, stop_timeout: 6_000}, :stop_old)
      assert [%{status: :finishing, step: :stop_old}] = runs(node, app)
      assert {:error, :too_late} == cancel(node, d.id)
      assert {:ok, 200, "two\n"} == page(caddy, app)
      assert {:ok, %{status: :completed}} = Task.await(task, 60_000)
      assert :ok == undeploy(node, d)
    end
  end

  describe "deadline" do
    test "a deploy that does not get to its switch in time is undone",
         %{node: node, caddy: caddy, app: app} = context do
      assert {:ok, old} = deploy(node, app)
      before = machine(context, app)
      {took, answer} = :timer.tc(fn -> deploy(node, app, %{env: @slow}, deadline: 1_500) end)
      assert {:error, :deadline_exceeded, %Deployment{status: :failed, error: :deadline_exceeded}} = answer
      assert took >= 1_500_000 and took < 60_000_000
      assert before == machine(context, app)
      assert {:ok, 200, "one\n"} == page(caddy, app)
      assert :ok == undeploy(node, old)
    end

    test "it counts while a deploy is queued", %{node: node, app: app} do
      {first, one} = begin!(node, app, %{env: @slow}, :health_check)
      assert {:error, :deadline_exceeded, _} = deploy(node, app, %{}, deadline: 500)
      assert [%{status: :running}] = runs(node, app)
      assert :ok == cancel(node, first.id)
      assert {:error, :cancelled, _} = Task.await(one, 60_000)
    end

    test "time enough changes nothing", %{node: node, app: app} do
      assert {:ok, d} = deploy(node, app, %{}, deadline: 60_000)
      assert :ok == undeploy(node, d)
    end
  end

  describe "undeploy" do
    test "with cancel it breaks off what is under way", %{node: node, app: app} = context do
      assert {:ok, _} = deploy(node, app)
      {d, running} = begin!(node, app, %{env: @slow}, :health_check)
      {_, queued} = begin!(node, app, %{env: @slow}, :queued)
      assert :ok == call(node, Deployment, :undeploy, [d, %{}, [cancel: true]])
      assert {:error, :cancelled, _} = Task.await(running, 60_000)
      assert {:error, :cancelled, _} = Task.await(queued, 60_000)
      assert [] == call(node, Deployment, :releases, [app])
      assert [] == runs(node, app)
      assert_nothing_left(context, app)
    end

    test "without it waits for its turn", %{node: node, app: app} = context do
      {d, task} = begin!(node, app, %{env: %{"PAGE" => "one", "DELAY" => "4"}}, :health_check)
      assert :ok == undeploy(node, d)
      assert {:ok, %{status: :completed}} = Task.await(task, 60_000)
      assert_nothing_left(context, app)
    end
  end

  describe "plan" do
    defp plan!(node, args) do
      assert {:ok, %{steps: steps, downtime: _, warnings: _, differences: _} = plan} =
               call(node, Deployment, :plan, args)

      {Map.new(steps, &{&1.step, &1.message}), Enum.map(steps, & &1.step), plan}
    end

    test "of a first version", %{node: node, app: app, rig: rig} = context do
      d = deployment(node, app)
      before = machine(context, app)
      {texts, steps, plan} = plan!(node, [d])
      assert [:allocate_port, :start_container, :health_check, :switch_route] == steps
      assert %{downtime: false, warnings: [], differences: []} = plan
      {low, high} = rig.agent.range
      assert texts.allocate_port =~ "between #{low} and #{high}"
      assert texts.start_container =~ "otturnaut-#{app}-#{d.id}"
      assert texts.start_container =~ d.image
      assert texts.start_container =~ "is here"
      assert texts.health_check =~ "answers HTTP"
      assert texts.switch_route =~ "#{app}.localhost"
      assert texts.switch_route =~ "new route"
      assert before == machine(context, app)
      assert_nothing_left(context, app)
    end

    test "of the next version: what is different, and no value of the environment", context do
      %{node: node, app: app} = context
      assert {:ok, old} = deploy(node, app, %{env: %{"PAGE" => "one", "GONE" => "1"}})
      before = machine(context, app)

      attrs = %{
        env: %{"PAGE" => "a-new-value", "ADDED" => "another-value"},
        image: "otturnaut-#{app}:none",
        domains: ["#{app}.localhost", "www.#{app}.localhost"],
        drain_timeout: 7_000,
        release_command: ["/bin/busybox", "true"]
      }

      check = [health_check: [type: :http, path: "/up", deadline: 9_000]]
      {texts, steps, plan} = plan!(node, [deployment(node, app, attrs), Strategy.BlueGreen, check])

      assert [
               :allocate_port,
               :release_command,
               :start_container,
               :health_check,
               :switch_route,
               :stop_old,
               :release_port
             ] == steps

      assert texts.start_container =~ "pulled"
      assert texts.health_check =~ "/up"
      assert texts.health_check =~ "9 s"
      assert texts.switch_route =~ "www.#{app}.localhost"
      assert texts.stop_old =~ old.container_name
      assert texts.stop_old =~ "7 s"
      assert texts.release_port =~ "#{old.port}"
      assert plan.downtime == false
      assert ["image: " <> _, "domains: " <> _, "environment: " <> names] = plan.differences
      assert ["+ADDED", "-GONE", "~PAGE"] == names |> String.split(" ") |> Enum.sort()
      refute inspect(plan) =~ "value"
      assert before == machine(context, app)
      assert :ok == undeploy(node, old)
    end

    test "of a Recreate: nobody answers for a while", %{node: node, app: app} = context do
      d = deployment(node, app)
      assert {_, _, %{downtime: false}} = plan!(node, [d, Strategy.Recreate])
      assert {:ok, old} = deploy(node, app)
      before = machine(context, app)
      {_, steps, plan} = plan!(node, [d, Strategy.Recreate])
      assert plan.downtime == true
      assert Enum.find_index(steps, &(&1 == :stop_old)) < Enum.find_index(steps, &(&1 == :start_container))
      [%{message: first} | _] = for %{step: :stop_old} = step <- plan.steps, do: step
      assert first =~ old.container_name
      assert first =~ "nobody answers"
      assert {_, _, %{downtime: false}} = plan!(node, [d, Strategy.BlueGreen])
      assert before == machine(context, app)
      assert :ok == undeploy(node, old)
    end

    test "while another deploy is under way: that it would wait", %{node: node, app: app} do
      {d, task} = begin!(node, app, %{env: @slow}, :health_check)
      {texts, [:queued | _], _} = plan!(node, [deployment(node, app)])
      assert texts.queued =~ app
      assert :ok == cancel(node, d.id)
      assert {:error, :cancelled, _} = Task.await(task, 60_000)
    end

    test "where engine and Caddy are not there it says so", %{app: app} do
      agent = own_agent!(env: %{"CONTAINER_SOCKET" => "/nowhere/engine.sock"})
      assert {_, _, %{warnings: [_, _]}} = plan!(agent.node, [deployment(agent.node, app)])
    end
  end
end
